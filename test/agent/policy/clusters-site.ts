import fc from 'fast-check'
import { NODES, oneOf, podAddresses, seldom } from './clusters.ts'
import type { Site, Wired } from './oracle.ts'
import { isSomebody } from './oracle-identities.ts'
import type { RawCluster, RawPod } from './oracle-objects.ts'

/** What one node's agent knows by itself: which pods it has wired, with which addresses, and how it was told to act. */

/** What is random about it. */
export interface SitePick {
  readonly node: number
  readonly mode: Site['mode']
  readonly failsOpen: boolean
  /** Of which of its pods, counted from 0, nothing is known; or an older one of that name. */
  readonly unknown: readonly number[]
  readonly replaced: readonly number[]
  /** Which it has not wired, or not any more. */
  readonly unwired: readonly number[]
  /** A pod that the API does not know, or not yet; and a container of nobody's. */
  readonly hasStranger: boolean
  readonly hasNobodys: boolean
}

const some = fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.tuple(fc.nat(2)) })

export const sitePick: fc.Arbitrary<SitePick> = fc.record({
  node: oneOf(...NODES.slice(0, 2)),
  mode: oneOf('default', 'default', 'default', 'default', 'always', 'never'),
  failsOpen: seldom(4),
  unknown: some,
  replaced: some,
  unwired: some,
  hasStranger: seldom(6),
  hasNobodys: seldom(4),
})

/** Where the API gives an address to two pods, or none to one, the agent has another one for the pod. */
export function siteOf(cluster: RawCluster, { node, mode, failsOpen, ...pick }: SitePick): Site {
  const nodeName = `node${node}`
  const taken = new Set<string>()
  const wired = podsOf(cluster, nodeName).flatMap((pod, index): Wired[] => {
    if (pick.unwired.includes(index)) return []
    const told = (pod.status?.podIPs ?? []).map(({ ip }) => ip)
    const isFree = told.length > 0 && !told.some((ip) => taken.has(ip))
    const addresses = isFree ? told : podAddresses(node, 20 + index)
    for (const address of addresses) taken.add(address)
    const { namespace, name, uid } = pod.metadata
    const one = {
      pod: `${namespace}/${name}`,
      uid: pick.replaced.includes(index) ? `${uid}-older` : `${uid}`,
      addresses,
      isUnknown: pick.unknown.includes(index),
    }
    return [one]
  })
  const strangers: Wired[] = [
    ...(pick.hasStranger ? [{ pod: 'x/stranger', addresses: podAddresses(node, 30), isUnknown: true }] : []),
    ...(pick.hasNobodys ? [{ pod: undefined, addresses: podAddresses(node, 31), isUnknown: false }] : []),
  ]
  return { nodeName, wired: [...wired, ...strangers], mode, failsOpen }
}

function podsOf({ pods }: RawCluster, nodeName: string): RawPod[] {
  return pods.filter((pod) => pod.spec.nodeName === nodeName && isSomebody(pod))
}
