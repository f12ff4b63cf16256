import { type Cidr, formatAddress, parseCidr } from '../../../ipam/address.ts'
import { EchoSocket } from '../../kernel/icmp.ts'
import { EchoError } from '../../kernel/icmp-socket.ts'
import { echoesUdp } from '../../kernel/udp-probe.ts'
import type { AgentState, Paths, TunnelEnd } from '../facts.ts'
import type { Ask } from './agent.ts'

/** A cluster that is larger is not asked whole: what breaks checksums is this node's card. */
const MOST_NODES = 16
/** Any path carries that. */
const ECHO_BYTES = 84
/** More than any frame: what comes back is cut by whoever answers, into pieces as large as its link takes. */
const PIECES_BYTES = 9_100
const ECHO_TRIES = 3
const ECHO_TIMEOUT_MS = 700

/** @throws Error where the agent cannot be asked */
export async function paths(ask: Ask, { answers }: AgentState): Promise<Paths> {
  if (!answers) throw new Error('the agent is away, and so nobody knows the other nodes')
  if (!answers.isServing || answers.peers.length === 0) return { peers: [], tunnelEnds: [], largerPeers: [] }
  const ends = answers.peers.slice(0, MOST_NODES).flatMap(({ node, ways, podCidrs }) => {
    const way = ways.find((kind) => kind !== 'direct' && kind !== 'none')
    return way === undefined ? [] : podCidrs.map((cidr) => ({ node, way, cidr: parseCidr(cidr) }))
  })
  const [{ peers }, ...tunnelEnds] = await Promise.all([ask('mtu probe'), ...ends.map(tunnelEnd)])
  const answering = peers.filter(({ measuredBytes }) => measuredBytes !== undefined).slice(0, MOST_NODES)
  const areSmall = await Promise.all(answering.map(({ address }) => echoes(address, PIECES_BYTES, true)))
  const largerPeers = answering.filter((_, index) => !areSmall[index]).map(({ node, address }) => ({ node, address }))
  return { peers, tunnelEnds, largerPeers }
}

/** The other node's own end of the tunnel has the first address of its pod CIDR. */
async function tunnelEnd({ node, way, cidr }: { node: string; way: string; cidr: Cidr }): Promise<TunnelEnd> {
  const address = formatAddress(cidr.family, cidr.first)
  const outcome = cidr.family === 4 ? await reachByUdp(address) : undefined
  return { node, way, address, outcome: outcome ?? ((await echoes(address)) ? 'reached' : 'silent') }
}

/** @returns undefined where no packet of UDP gets there */
async function reachByUdp(address: string): Promise<'reached' | 'spoilt' | undefined> {
  if (await echoesUdp(address, { hasChecksum: true })) return 'reached'
  // Without one, which IPv4 alone allows, nothing is left for the card to do wrong.
  return (await echoesUdp(address, { hasChecksum: false })) ? 'spoilt' : undefined
}

async function echoes(address: string, packetBytes = ECHO_BYTES, mayFragment = false): Promise<boolean> {
  let socket: EchoSocket | undefined
  try {
    socket = new EchoSocket(address, undefined, mayFragment)
    for (let count = 0; count < ECHO_TRIES; count++)
      if ((await socket.echo(packetBytes, ECHO_TIMEOUT_MS)) === 'answered') return true
    return false
  } catch (error) {
    if (error instanceof EchoError) return false
    throw error
  } finally {
    socket?.close()
  }
}
