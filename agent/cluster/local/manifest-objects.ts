import { isDeepStrictEqual } from 'node:util'
import { parseClusterNetworkPolicyObject } from '../cluster-network-policy-object.ts'
import { parseNamespaceObject } from '../namespace-object.ts'
import { parseNetworkPolicyObject } from '../network-policy-object.ts'
import { parseNodeObject } from '../node-object.ts'
import { ObjectError } from '../object-fields.ts'
import { parsePodObject } from '../pod-object.ts'
import type { Policy } from '../policy.ts'
import type { ParsedPolicy } from '../policy-object.ts'
import type { ClusterNode } from '../view.ts'
import type { ClusterNamespace, ClusterPod } from '../workloads.ts'
import type { ParsedDocument } from '../yaml.ts'

/** What one object of a manifest says. */
export type ManifestValue =
  | { readonly kind: 'Node'; readonly node: ClusterNode }
  | { readonly kind: 'Pod'; readonly pod: ClusterPod }
  | { readonly kind: 'Namespace'; readonly namespace: ClusterNamespace }
  | { readonly kind: Policy['kind']; readonly policy: Policy }

export interface ManifestObject {
  readonly kind: ManifestValue['kind']
  /** As people name it: `Pod default/a`; as far as it has a name. */
  readonly id: string
  /** The last good one; absent: it never was. */
  readonly value: ManifestValue | undefined
  readonly problems: readonly string[]
}

const PARSE: Readonly<Record<ManifestValue['kind'], (object: unknown) => Omit<ManifestObject, 'kind' | 'id'>>> = {
  Node: (object) => ({ value: { kind: 'Node', node: parseNodeObject(object) }, problems: [] }),
  Pod: (object) => ({ value: { kind: 'Pod', pod: parsePodObject(object) }, problems: [] }),
  Namespace: (object) => ({ value: { kind: 'Namespace', namespace: parseNamespaceObject(object) }, problems: [] }),
  NetworkPolicy: (object) => ofPolicy(parseNetworkPolicyObject(object)),
  ClusterNetworkPolicy: (object) => ofPolicy(parseClusterNetworkPolicyObject(object)),
}
const CLUSTER_WIDE: readonly string[] = ['Node', 'Namespace', 'ClusterNetworkPolicy']

/** AdminNetworkPolicy, Calico's, Cilium's, or a kind that is misspelt: who wrote it believes something to be closed. */
const POLICY_OF_OTHERS = /NetworkPolic(y|ies)$/i

/** What a file says. */
export interface ManifestContents {
  readonly objects: readonly ManifestObject[]
  /** Documents that cannot be read, by their lines. */
  readonly problems: readonly string[]
}

/**
 * What the documents of one file say. One object that cannot be used takes nothing from the others, nor does a document
 * that cannot be read: what the file said before and says nowhere else now may be in that, and stays. Pure.
 * @param before what the file said: of this stays what is equal, and what cannot be read now
 * @throws ObjectError when it is no file of manifests
 */
export function manifestObjects(
  documents: readonly ParsedDocument[],
  before: readonly ManifestObject[],
): ManifestContents {
  const problems: string[] = []
  const objects = documents.flatMap(({ line, value, problem }) => {
    const reason = problem ?? (hasKind(value) ? undefined : 'there is no "kind": is this a Kubernetes manifest?')
    if (reason !== undefined) problems.push(`the document of line ${line}: ${reason}`)
    return reason === undefined ? itemsOf(value) : []
  })
  if (objects.length + problems.length === 0) throw new ObjectError('is empty; write a file beside it and rename that')
  const known = new Map(before.map((object) => [object.id, object]))
  const read = objects.flatMap((object) => {
    const { kind } = (object ?? {}) as { kind?: unknown }
    if (isKind(kind)) return [readObject(kind, object, known)]
    return typeof kind === 'string' && POLICY_OF_OTHERS.test(kind) ? [notRead(kind, object, known)] : []
  })
  const ids = new Set(read.map(({ id }) => id))
  const now = problems.length === 0 ? read : [...read, ...before.filter(({ id }) => !ids.has(id))]
  const isSame = now.length === before.length && now.every((object, index) => object === before[index])
  return { objects: isSame ? before : now, problems }
}

function isKind(kind: unknown): kind is ManifestValue['kind'] {
  return typeof kind === 'string' && Object.hasOwn(PARSE, kind)
}

function readObject(
  kind: ManifestValue['kind'],
  object: unknown,
  known: ReadonlyMap<string, ManifestObject>,
): ManifestObject {
  const id = idOf(kind, object)
  const before = known.get(id)
  try {
    const now = { kind, id, ...PARSE[kind](object) }
    return before && isDeepStrictEqual(before, now) ? before : now
  } catch (error) {
    const kept = before?.value ? '; what it said before stays in force' : ''
    return { kind, id, value: before?.value, problems: [`${(error as Error).message}${kept}`] }
  }
}

function notRead(kind: string, object: unknown, known: ReadonlyMap<string, ManifestObject>): ManifestObject {
  const id = idOf(kind, object)
  const problem =
    'policies of this kind are not read: nothing of it holds; write a NetworkPolicy or ClusterNetworkPolicy'
  return known.get(id) ?? { kind: 'NetworkPolicy', id, value: undefined, problems: [problem] }
}

function ofPolicy({ policy, problems }: ParsedPolicy): Omit<ManifestObject, 'kind' | 'id'> {
  return {
    value: { kind: policy.kind, policy },
    problems: problems.map(({ field, reason }) => `${field}: ${reason}`),
  }
}

function idOf(kind: string, object: unknown): string {
  const { metadata } = object as { metadata?: { namespace?: unknown; name?: unknown } | null }
  const name = typeof metadata?.name === 'string' ? metadata.name : '(without a name)'
  return CLUSTER_WIDE.includes(kind) ? `${kind} ${name}` : `${kind} ${metadata?.namespace ?? 'default'}/${name}`
}

/** An empty document has nothing to be of a kind. */
function hasKind(document: unknown): boolean {
  return document === null || document === undefined || (document as { kind?: unknown }).kind !== undefined
}

/** A List holds objects; an empty document holds none. */
function itemsOf(document: unknown): unknown[] {
  if (document === null || document === undefined) return []
  const { kind, items } = document as { kind?: unknown; items?: unknown }
  return String(kind).endsWith('List') && Array.isArray(items) ? items : [document]
}
