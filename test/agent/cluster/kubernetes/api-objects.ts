/**
 * What etcd and the API server keep: objects under resource paths, one counter of versions for all of them, and the
 * history since the last compaction. As real ones do it, so far as clients see it.
 */

export interface StoredObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly resourceVersion: string
    readonly uid: string
    readonly [key: string]: unknown
  }
  readonly [key: string]: unknown
}

/** An object as a test writes it; kind and version are the resource's. A new one may have its uid chosen. */
export interface NewObject {
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly uid?: string
    readonly [key: string]: unknown
  }
  readonly [key: string]: unknown
}

export interface StoredEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly version: number
  readonly resource: string
  readonly object: StoredObject
}

export interface StoredKind {
  readonly apiVersion: string
  readonly kind: string
}

/** By collection over all namespaces: `/api/v1/pods`. */
const KINDS: Readonly<Record<string, StoredKind>> = {
  '/api/v1/nodes': { apiVersion: 'v1', kind: 'Node' },
  '/api/v1/pods': { apiVersion: 'v1', kind: 'Pod' },
  '/api/v1/namespaces': { apiVersion: 'v1', kind: 'Namespace' },
  '/apis/networking.k8s.io/v1/networkpolicies': { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy' },
}

export class ApiObjects {
  #version = 1000
  #compactedAt = 1000
  readonly #kinds = new Map<string, StoredKind>(Object.entries(KINDS))
  readonly #objects = new Map<string, Map<string, StoredObject>>()
  #history: StoredEvent[] = []
  readonly #listeners = new Set<(event: StoredEvent) => void>()

  get version(): number {
    return this.#version
  }

  /** Versions before it have no history any more. */
  get compactedAt(): number {
    return this.#compactedAt
  }

  kindOf(resource: string): StoredKind | undefined {
    return this.#kinds.get(resource)
  }

  get resources(): readonly string[] {
    return [...this.#kinds.keys()]
  }

  /** What a CustomResourceDefinition does. */
  install(resource: string, kind: StoredKind): void {
    this.#kinds.set(resource, kind)
  }

  /** With its objects, before. */
  uninstall(resource: string): void {
    for (const object of this.list(resource)) this.delete(resource, keyOf(object))
    this.#kinds.delete(resource)
  }

  /** In the order of their keys, as etcd lists them. */
  list(resource: string, namespace?: string): StoredObject[] {
    const all = [...(this.#objects.get(resource) ?? new Map<string, StoredObject>())].sort(([a], [b]) =>
      a < b ? -1 : 1,
    )
    return all.map(([, object]) => object).filter((one) => !namespace || one.metadata.namespace === namespace)
  }

  get(resource: string, key: string): StoredObject | undefined {
    return this.#objects.get(resource)?.get(key)
  }

  /** Creates or replaces; what would change nothing makes no new version. */
  put(resource: string, object: NewObject): StoredObject {
    const kind = this.kindOf(resource)
    if (!kind) throw new Error(`no resource ${resource}`)
    const key = keyOf(object)
    const before = this.get(resource, key)
    const uid = before?.metadata.uid ?? object.metadata.uid ?? `uid-${this.#version + 1}`
    const stored = (version: string): StoredObject => ({
      ...structuredClone(object),
      ...kind,
      metadata: { ...structuredClone(object.metadata), uid, resourceVersion: version },
    })
    if (before && JSON.stringify(stored(before.metadata.resourceVersion)) === JSON.stringify(before)) return before
    const after = stored(String(++this.#version))
    this.#of(resource).set(key, after)
    this.#happened({ type: before ? 'MODIFIED' : 'ADDED', version: this.#version, resource, object: after })
    return after
  }

  delete(resource: string, key: string): void {
    const before = this.get(resource, key)
    if (!before) return
    this.#of(resource).delete(key)
    const metadata = { ...before.metadata, resourceVersion: String(++this.#version) }
    this.#happened({ type: 'DELETED', version: this.#version, resource, object: { ...before, metadata } })
  }

  /** RFC 7386. @returns undefined where there is no such object */
  mergePatch(resource: string, key: string, patch: unknown): StoredObject | undefined {
    const before = this.get(resource, key)
    return before && this.put(resource, merged(before, patch) as NewObject)
  }

  /** Of Nodes: a list of conditions is merged by type (x-kubernetes-patch-merge-key of NodeStatus.conditions). */
  strategicMergePatch(resource: string, key: string, patch: unknown): StoredObject | undefined {
    const before = this.get(resource, key)
    return before && this.put(resource, strategicallyMerged(before, patch) as NewObject)
  }

  compact(): void {
    this.#compactedAt = this.#version
    this.#history = []
  }

  /** As after `etcdctl snapshot restore` of an old backup: the counter is back where it was. */
  restoreAt(version: number): void {
    this.#version = version
    this.compact()
  }

  since(resource: string, version: number): StoredEvent[] {
    return this.#history.filter((event) => event.resource === resource && event.version > version)
  }

  /** @returns the function that ends it */
  listen(listener: (event: StoredEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #of(resource: string): Map<string, StoredObject> {
    const found = this.#objects.get(resource) ?? new Map<string, StoredObject>()
    this.#objects.set(resource, found)
    return found
  }

  #happened(event: StoredEvent): void {
    this.#history.push(event)
    for (const listener of this.#listeners) listener(event)
  }
}

export function keyOf({ metadata: { namespace, name } }: NewObject): string {
  return namespace ? `${namespace}/${name}` : name
}

function strategicallyMerged(value: unknown, patch: unknown): unknown {
  const { status: { conditions = [] } = {}, ...rest } = patch as { status?: { conditions?: Condition[] } }
  const object = merged(value, rest) as { status?: { conditions?: Condition[] } }
  const types = new Set(conditions.map(({ type }) => type))
  const kept = (object.status?.conditions ?? []).filter(({ type }) => !types.has(type))
  const put = conditions.filter(({ $patch }) => $patch !== 'delete')
  return { ...object, status: { ...object.status, conditions: [...kept, ...put] } }
}

interface Condition {
  readonly type: string
  readonly $patch?: 'delete'
}

function merged(value: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const result: Record<string, unknown> = typeof value === 'object' && value !== null ? { ...value } : {}
  for (const [name, one] of Object.entries(patch))
    if (one === null) delete result[name]
    else result[name] = merged(result[name], one)
  return result
}
