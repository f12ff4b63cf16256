import type { Cidr } from '../../../ipam/address.ts'
import { parseNodeObject } from '../node-object.ts'
import type { ClusterNode, RegisteredNode } from '../view.ts'
import { cidrsOfLease, type Range } from './ranges.ts'
import { REMOVABLE_SILENT_S } from './scripts.ts'
import type { Listing, Store } from './store.ts'

/** It cannot be removed now, and why. */
export class NodeRemovalError extends Error {
  override readonly name = 'NodeRemovalError'
  readonly code = 'NODE_REMOVAL' as const
}

/** Pure. By name; whatever has a lease or a Node, however broken, so that it can be removed. */
export function nodeRows({ nowSeconds, leases, nodes, seen }: Listing, ranges: readonly Range[]): RegisteredNode[] {
  const names = new Set([...leases.keys(), ...nodes.keys()])
  return [...names].sort().map((name) => {
    const [, at] = /^(\d{1,12}) \S+ \S*$/.exec(seen.get(name) ?? '') ?? []
    return {
      name,
      podCidrs: cidrsOfLease(ranges, leases.get(name) ?? '').map(({ text }) => text),
      addresses: readNode(nodes.get(name))?.addresses ?? [],
      ...(at !== undefined && { secondsAgo: Math.max(0, nowSeconds - Number(at)) }),
    }
  })
}

function readNode(text: string | undefined): ClusterNode | undefined {
  try {
    return parseNodeObject(JSON.parse(text ?? ''))
  } catch {
    return undefined // a problem of the view, which tells it
  }
}

/** Gives the node's pod CIDRs back. @returns them @throws NodeRemovalError; RedisError */
export async function removeNode(
  store: Store,
  ranges: readonly Range[],
  name: string,
  isForced: boolean,
): Promise<readonly Cidr[]> {
  const answer = await store.remove(name, isForced)
  if (answer.is === 'ok') return cidrsOfLease(ranges, answer.lease)
  if (answer.is === 'unknown')
    throw new NodeRemovalError(`there is no Node ${name} in the cluster; bramblectl node list shows those that are`)
  throw new NodeRemovalError(
    `the agent of Node ${name} was there ${Math.max(0, answer.ageSeconds)} s ago; stop it and wait for ${REMOVABLE_SILENT_S} s, or say --force`,
  )
}
