import { formatAddress, parseCidr } from '../../../ipam/address.ts'
import { echoesUdp } from '../../kernel/udp-probe.ts'
import type { AgentState, Paths } from '../facts.ts'
import type { Ask } from './agent.ts'

/** A cluster that is larger is not asked whole: what breaks checksums is this node's card. */
const MOST_NODES = 16

/** @throws Error where the agent cannot be asked */
export async function paths(ask: Ask, { answers }: AgentState): Promise<Paths> {
  if (!answers) throw new Error('the agent is away, and so nobody knows the other nodes')
  if (!answers.isServing || answers.peers.length === 0) return { peers: [], checksums: new Map() }
  const { peers } = await ask('mtu probe')
  return { peers, checksums: await checksums(answers.peers) }
}

async function checksums(peers: NonNullable<AgentState['answers']>['peers']): Promise<Paths['checksums']> {
  const outcomes = new Map<string, 'good' | 'broken' | 'unknown'>()
  const tunnelled = peers.filter(({ ways }) => ways.includes('vxlan')).slice(0, MOST_NODES)
  await Promise.all(
    tunnelled.map(async ({ node, podCidrs }) => {
      const cidr = podCidrs.find((text) => !text.includes(':')) // only IPv4 has packets without a checksum
      if (cidr) outcomes.set(node, await checksum(cidr))
    }),
  )
  return outcomes
}

/** The other node's own end of the tunnel has the first address of its pod CIDR. */
async function checksum(cidr: string): Promise<'good' | 'broken' | 'unknown'> {
  const { family, first } = parseCidr(cidr)
  const address = formatAddress(family, first)
  if (await echoesUdp(address, { hasChecksum: true })) return 'good'
  // Without one, nothing is left for the card to do wrong.
  return (await echoesUdp(address, { hasChecksum: false })) ? 'broken' : 'unknown'
}
