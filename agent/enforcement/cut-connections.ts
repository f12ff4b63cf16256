import { type ConntrackEntry, markConntrack } from '../kernel/conntrack.ts'
import { streamConntrack } from '../kernel/conntrack-stream.ts'
import { isNotFound, KernelError } from '../kernel/errors.ts'
import type { NetlinkRequest } from '../kernel/message.ts'
import type { Netlink } from '../kernel/netlink.ts'
import { CUT_CONNECTION_MARK } from '../ownership.ts'
import type { Flow } from '../policy/flow.ts'

/** As many entries are changed after one walk at most: what is to be sent is held meanwhile. */
const CHANGES_AT_ONCE = 50_000
/** Enough for every table; more would mean that the kernel does not do what it acknowledges. */
const WALKS_MAX = 1_000

/** IPPROTO_* of include/uapi/linux/in.h, and RFC 9260 */
const PROTOCOLS: Readonly<Record<number, Flow['protocol']>> = { 6: 'TCP', 17: 'UDP', 132: 'SCTP' }

export interface Connections {
  /** Those of local pods whose rules changed; connections of others are left as they are. */
  readonly addresses: ReadonlySet<string>
  /** By the rules as they are in the kernel now: what begins meanwhile meets them. */
  isAllowed(flow: Flow): boolean
}

/**
 * Cuts the connections that are no longer allowed, and joins those again that are. The rules let pass what has passed once;
 * so a connection that may not go on gets CUT_CONNECTION_MARK, and the rules drop what carries that.
 *
 * Deleting it would not do: the next packet from the end that was called makes it anew in the other direction, and that is
 * often allowed. The mark goes with the connection: a new one between the same ports has none.
 * @param netlink of the protocol `netfilter`
 * @returns of how many the mark was changed
 * @throws KernelError
 */
export async function cutConnections(
  netlink: Netlink,
  { addresses, isAllowed }: Connections,
): Promise<{ cut: number; joined: number }> {
  const done = { cut: 0, joined: 0 }
  for (let walk = 0; walk < WALKS_MAX; walk++) {
    const changes: { readonly request: NetlinkRequest; readonly isCut: boolean }[] = []
    await streamConntrack(netlink, (entry) => {
      if (changes.length >= CHANGES_AT_ONCE) return
      const flow = flowOf(entry)
      if (!addresses.has(flow.source) && !addresses.has(flow.destination)) return
      const isCut = !isAllowed(flow)
      if (isCut === ((entry.mark & CUT_CONNECTION_MARK) !== 0)) return
      changes.push({ request: markConntrack(entry, CUT_CONNECTION_MARK, isCut ? CUT_CONNECTION_MARK : 0), isCut })
    })
    const outcomes = await netlink.trySend(changes.map(({ request }) => request))
    for (const [index, outcome] of outcomes.entries()) {
      if (!(outcome instanceof KernelError)) done[changes[index]?.isCut ? 'cut' : 'joined']++
      else if (!isNotFound(outcome)) throw outcome // gone meanwhile
    }
    if (changes.length < CHANGES_AT_ONCE) break
  }
  return done
}

/** The first packet as it was when it was forwarded: the destination translated, which is who answers; the source not yet. */
export function flowOf({ original, reply }: ConntrackEntry): Flow {
  const protocol = PROTOCOLS[original.protocol] ?? 'ICMP'
  return {
    source: original.source,
    destination: reply.source,
    protocol,
    destinationPort: protocol === 'ICMP' ? 0 : reply.sourcePort,
  }
}
