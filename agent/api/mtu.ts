import { familyOf } from '../../ipam/address.ts'
import { overheadBytes } from '../desired/tunnel.ts'
import { underlayFamily } from '../desired/way.ts'
import { measurePaths } from '../mtu/measure-paths.ts'
import type { NodeNetwork } from '../nodes/network.ts'
import type { MtuReport, MtuStep, PeerPath } from './mtu-report.ts'

/** Within what `bramblectl` waits. */
const PROBE_MS = 10_000

const BLACKHOLE = 'larger packets vanish without a word: a router or a firewall drops ICMP'

/** How the MTU of pods comes about. @param givenBytes of --mtu; 0: none @param uplink what pods' packets leave by */
export function mtuReport(
  nodes: NodeNetwork,
  podMtuBytes: number,
  givenBytes: number,
  uplink: { readonly names: readonly string[]; readonly bytes: number },
): MtuReport {
  const { desired } = nodes
  const steps: MtuStep[] = [
    {
      what: uplink.names.join(', ') || 'no uplink',
      bytes: uplink.bytes,
      why: desired && desired.uplinks.length > 0 ? 'the way to other nodes' : 'the default route',
    },
  ]
  const family = desired ? underlayFamily(desired.self) : 4
  for (const tunnel of desired?.tunnels ?? [])
    steps.push({
      what: `${tunnel} over IPv${tunnel === 'vxlan' ? family : '4'}`.replace(/^wireguard.*/, 'wireguard'),
      bytes: -(desired?.overheadBytes(tunnel) ?? 0),
      why: 'what its headers take; of several tunnels the largest counts',
    })
  if (givenBytes > 0) steps.push({ what: '--mtu', bytes: givenBytes, why: 'as the agent was told' })
  return { steps, podMtuBytes, peers: peerPaths(nodes, podMtuBytes) }
}

/** The same, with what really gets through to each node. */
export async function probedMtuReport(report: MtuReport, uplinkBytes: number): Promise<MtuReport> {
  const paths = report.peers.map(({ address, neededBytes }) => ({
    address,
    mostBytes: Math.max(neededBytes, uplinkBytes),
  }))
  const measured = await measurePaths(paths, { totalMs: PROBE_MS })
  const peers = report.peers.map((peer, index) => {
    const outcome = measured[index]
    if (!outcome) return peer
    return {
      ...peer,
      ...('bytes' in outcome && { measuredBytes: outcome.bytes }),
      ...('problem' in outcome && { problem: outcome.problem }),
      ...('bytes' in outcome && outcome.isBlackhole && { problem: BLACKHOLE }),
    }
  })
  return { ...report, peers }
}

/** One line for each way and address: pods of both families may share them. */
function peerPaths({ desired }: NodeNetwork, podMtuBytes: number): PeerPath[] {
  const paths = new Map<string, PeerPath>()
  for (const [node, { ways }] of desired?.peers ?? [])
    for (const way of ways) {
      if (way.kind === 'none') continue
      const address = way.kind === 'direct' ? way.address : way.remote
      const headers = way.kind === 'direct' ? 0 : overheadBytes(way.kind, familyOf(address))
      paths.set(`${node} ${way.kind} ${address}`, {
        node,
        way: way.kind,
        address,
        neededBytes: podMtuBytes + headers,
      })
    }
  return [...paths.values()]
}
