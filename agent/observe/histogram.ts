import { type LabelsOf, METRICS, type MetricName } from './catalogue.ts'
import type { Family, Sample } from './family.ts'

/** Seconds: from what a wired pod takes on a fast machine to the plugin's own deadline. */
export const DURATION_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 50] as const

type Histograms = {
  [Name in MetricName]: (typeof METRICS)[Name]['type'] extends 'histogram' ? Name : never
}[MetricName]

interface Series {
  readonly labels: Readonly<Record<string, string>>
  /** By bound, and one for what is above all: not cumulative. */
  readonly counts: number[]
  sum: number
}

/** How often values were how large, by labels: of few different ones, since each costs a series for every bound. */
export class Histogram<Name extends Histograms> {
  readonly #name: Name
  readonly #bounds: readonly number[]
  readonly #series = new Map<string, Series>()

  /** @param bounds ascending @param known labels that are shown before anything was observed of them */
  constructor(name: Name, known: readonly LabelsOf<Name>[], bounds: readonly number[] = DURATION_BOUNDS) {
    this.#name = name
    this.#bounds = bounds
    for (const labels of known) this.#of(labels)
  }

  observe(labels: LabelsOf<Name>, value: number): void {
    const series = this.#of(labels)
    const index = this.#bounds.findIndex((bound) => value <= bound)
    const at = index < 0 ? this.#bounds.length : index
    series.counts[at] = (series.counts[at] ?? 0) + 1
    series.sum += value
  }

  family(): Family {
    const { type, help } = METRICS[this.#name]
    return { name: this.#name, type, help, samples: [...this.#series.values()].flatMap((one) => this.#samples(one)) }
  }

  #samples({ labels, counts, sum }: Series): Sample[] {
    let cumulative = 0
    const buckets = counts.map((count, index) => {
      cumulative += count
      const bound = this.#bounds[index]
      return {
        suffix: '_bucket',
        labels: { ...labels, le: bound === undefined ? '+Inf' : String(bound) },
        value: cumulative,
      }
    })
    return [...buckets, { suffix: '_sum', labels, value: sum }, { suffix: '_count', labels, value: cumulative }]
  }

  #of(labels: LabelsOf<Name>): Series {
    const key = Object.values(labels).join('\n')
    const found = this.#series.get(key)
    if (found) return found
    const made = { labels, counts: new Array(this.#bounds.length + 1).fill(0), sum: 0 }
    this.#series.set(key, made)
    return made
  }
}
