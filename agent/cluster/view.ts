import type { Cidr } from '../../ipam/address.ts'

/** A node of the cluster, as far as the others need to know it. */
export interface ClusterNode {
  readonly name: string
  /** At most one of each family. */
  readonly podCidrs: readonly Cidr[]
  /** Where the node is reached (InternalIP): at most one of each family. */
  readonly addresses: readonly string[]
}

/** The cluster at one moment. Immutable: a source that learns something makes a new one. */
export interface ClusterView {
  readonly nodes: ReadonlyMap<string, ClusterNode>
}

/** Something that the source holds and that cannot be used, by name; the rest is used all the same. */
export interface ViewProblem {
  /** `nodes/pi-3.yaml`, `Node pi-3`. */
  readonly object: string
  readonly reason: string
}

export const EMPTY_VIEW: ClusterView = { nodes: new Map() }

/** Where the view comes from. */
export interface ClusterSource {
  /** Listens from now on. The view is undefined until everything has been listed once; what is wrong is told meanwhile. */
  start(onView: (view: ClusterView | undefined, problems: readonly ViewProblem[]) => void): void
  close(): void
}
