import type { RawObject } from '../../agent/policy/clusters.ts'
import { after, BASE, type MatrixStep } from '../../agent/policy/matrix.ts'

/** Fields, and labels, whose value is the name of a namespace. */
const NAMING: readonly unknown[] = ['namespace', 'ns', 'kubernetes.io/metadata.name']

/**
 * One of several clusters in one: its namespaces have names of their own (`x2` for `x`), so that cases can be walked side by
 * side, one in each. A selector that means all namespaces means those of the other lanes, too, whom nobody asks.
 */
export class Lane {
  readonly #suffix: string
  #objects: readonly RawObject[] = BASE
  /** What stays the same object in the case is the same in the cluster. */
  readonly #base: ReadonlyMap<RawObject, RawObject>

  /** @param number of the first, 0: there the namespaces are called as they are in the cases */
  constructor(number: number) {
    this.#suffix = number === 0 ? '' : String(number)
    this.#base = new Map(BASE.map((one) => [one, this.#translated(one)]))
  }

  begin(): void {
    this.#objects = BASE
  }

  take(step: MatrixStep): void {
    this.#objects = after(this.#objects, step)
  }

  /** As the cluster knows them. */
  get objects(): RawObject[] {
    return this.#objects.map((one) => this.#base.get(one) ?? this.#translated(one))
  }

  /** As the case calls them. */
  get pods(): string[] {
    const pods = this.#objects.filter(({ kind }) => kind === 'Pod')
    return pods.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)
  }

  /** What the cluster calls it. @param pod `x/a` */
  key(pod: string): string {
    return pod.replace('/', `${this.#suffix}/`)
  }

  #translated(object: RawObject): RawObject {
    if (this.#suffix === '') return object
    if (object.kind === 'ClusterNetworkPolicy')
      throw new Error(`${object.metadata.name} is about the namespaces of all lanes; walk its case alone`)
    const text = JSON.stringify(object, (field, value) => {
      if (NAMING.includes(field)) return `${value}${this.#suffix}`
      if (!NAMING.includes(value?.key)) return value
      return { ...value, values: value.values?.map((name: string) => `${name}${this.#suffix}`) }
    })
    const { metadata, ...rest } = JSON.parse(text) as RawObject
    const name = object.kind === 'Namespace' ? `${metadata.name}${this.#suffix}` : metadata.name
    return { ...rest, metadata: { ...metadata, name } } as RawObject
  }
}
