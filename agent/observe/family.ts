import { type LabelsOf, METRICS, type MetricName, type MetricType } from './catalogue.ts'

/** One line of a metric. */
export interface Sample {
  /** `_bucket`, `_sum`, `_count` of a histogram; else ''. */
  readonly suffix: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** A metric with all of its series. */
export interface Family {
  readonly name: string
  readonly type: MetricType
  readonly help: string
  readonly samples: readonly Sample[]
}

type Plain<Name extends MetricName> = Name extends MetricName
  ? (typeof METRICS)[Name]['type'] extends 'histogram'
    ? never
    : Name
  : never

/** A counter or gauge, by its labels. Pure. */
export function family<Name extends Plain<MetricName>>(
  name: Name,
  series: readonly (readonly [labels: LabelsOf<Name>, value: number])[],
): Family {
  const { type, help } = METRICS[name]
  return { name, type, help, samples: series.map(([labels, value]) => ({ suffix: '', labels, value })) }
}
