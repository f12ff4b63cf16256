import type { LabelsOf, MetricName } from './catalogue.ts'
import { type Family, family } from './family.ts'

type Counted = 'bramble_cni_errors_total' | 'bramble_reconcile_errors_total' | 'bramble_drift_repairs_total'

/** How often something happened, by labels. */
export class Tally<Name extends Counted & MetricName> {
  readonly #name: Name
  readonly #counts = new Map<string, readonly [labels: LabelsOf<Name>, count: number]>()

  /** @param known labels that are shown before anything has happened: an alert cannot see the first of what was not there */
  constructor(name: Name, known: readonly LabelsOf<Name>[] = []) {
    this.#name = name
    for (const labels of known) this.#counts.set(keyOf(labels), [labels, 0])
  }

  add(labels: LabelsOf<Name>): void {
    const key = keyOf(labels)
    this.#counts.set(key, [labels, (this.#counts.get(key)?.[1] ?? 0) + 1])
  }

  family(): Family {
    return family(this.#name, [...this.#counts.values()])
  }
}

function keyOf(labels: Readonly<Record<string, string>>): string {
  return Object.values(labels).join('\n')
}
