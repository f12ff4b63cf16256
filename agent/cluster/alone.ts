import type { Cidr } from '../../ipam/address.ts'
import { type ClusterSource, EMPTY_VIEW, type ViewChange } from './view.ts'

/** A cluster of this node alone. */
export class Alone implements ClusterSource {
  readonly #podCidrs: readonly Cidr[]

  constructor(podCidrs: readonly Cidr[]) {
    this.#podCidrs = podCidrs
  }

  async join(): Promise<readonly Cidr[]> {
    return this.#podCidrs
  }

  announce(): void {}

  start(onChange: (change: ViewChange) => void): void {
    onChange({ view: EMPTY_VIEW, problems: [] })
  }

  async close(): Promise<void> {}
}
