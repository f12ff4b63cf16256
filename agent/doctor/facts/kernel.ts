import { closeSync, openSync } from 'node:fs'
import { release } from 'node:os'
import { KernelError } from '../../kernel/errors.ts'
import { probeEncapsulations } from '../../kernel/features.ts'
import { ENCAPSULATIONS, type Encapsulation, remedyFor } from '../../kernel/modules.ts'
import { Netlink } from '../../kernel/netlink.ts'
import { inNewNetns } from '../../kernel/netns.ts'
import { Nftables } from '../../kernel/nftables.ts'
import { addVethPair } from '../../kernel/veth.ts'
import type { AgentState, KernelFeatures } from '../facts.ts'
import type { Places } from '../places.ts'

type Refused = KernelFeatures['refused'][number]

/** What pods, policies and masquerading are made of: the kernel's module for each, and how it is tried. */
const NFTABLES: readonly (readonly [feature: string, module: string, commands: string])[] = [
  ['tables of nftables', 'nf_tables', 'add table inet bramble-doctor'],
  [
    'chains that filter',
    'nf_tables',
    'add chain inet bramble-doctor probe { type filter hook prerouting priority raw; }',
  ],
  ['connection tracking in nftables', 'nft_ct', 'add rule inet bramble-doctor probe ct state established accept'],
  [
    'masquerading',
    'nft_masq',
    'add chain inet bramble-doctor nat { type nat hook postrouting priority srcnat; }; add rule inet bramble-doctor nat masquerade fully-random',
  ],
  ['look-ups of routes in nftables', 'nft_fib_inet', 'add rule inet bramble-doctor probe fib daddr type local accept'],
  [
    'sets of addresses',
    'nf_tables',
    'add set inet bramble-doctor ranges { type ipv4_addr; flags interval; }; add rule inet bramble-doctor probe ip saddr @ranges accept',
  ],
  ['limits of nftables', 'nft_limit', 'add rule inet bramble-doctor probe limit rate 10/second accept'],
  ['logging to programs', 'nfnetlink_log', 'add rule inet bramble-doctor probe log group 1'],
]

/**
 * By throwaway objects in a network namespace that nobody else sees: a list of modules would not say what is built in.
 * @throws SystemError without the right to make namespaces
 */
export async function kernel(places: Places, agent: AgentState | undefined): Promise<KernelFeatures> {
  const ways = new Set((agent?.answers?.peers ?? []).flatMap((peer) => peer.ways))
  const wantsTunnels = ENCAPSULATIONS.filter((kind) => ways.has(kind))
  // Not those that nobody uses: the modules of ipip and gre put links into every namespace of the machine.
  const kinds: Encapsulation[] = [...new Set<Encapsulation>(['vxlan', ...wantsTunnels])]
  const osRelease = places.read('/etc/os-release') ?? ''
  const missingTunnels = new Map<Encapsulation, string>()
  for (const [kind, outcome] of await probeEncapsulations(kinds))
    if (outcome !== 'possible') missingTunnels.set(kind, remedyFor(kind, osRelease, release()))
  return { missingTunnels, wantsTunnels, refused: [...(await tryVeth()), ...(await tryNftables())] }
}

async function tryVeth(): Promise<Refused[]> {
  const { netlink, netnsFd } = inNewNetns(() => ({
    netlink: new Netlink(),
    netnsFd: openSync('/proc/thread-self/ns/net', 'r'),
  }))
  try {
    const [first, second] = ['02:00:00:00:00:01', '02:00:00:00:00:02']
    const peer = { name: 'doctor1', mac: second ?? '', netnsFd }
    const [outcome] = await netlink.trySend([
      addVethPair({ name: 'doctor0', mtuBytes: 1280, mac: first ?? '', group: 0, peer }),
    ])
    return outcome instanceof KernelError
      ? [{ feature: 'links of pods (veth)', module: 'veth', error: outcome.errno }]
      : []
  } finally {
    netlink.close()
    closeSync(netnsFd)
  }
}

async function tryNftables(): Promise<Refused[]> {
  let nftables: Nftables
  try {
    nftables = inNewNetns(() => Nftables.load())
  } catch (error) {
    return [{ feature: 'nftables', module: 'nf_tables', error: (error as Error).message }]
  }
  const refused: Refused[] = []
  try {
    for (const [feature, module, commands] of NFTABLES) {
      const error = await nftables.run(commands).then(
        () => undefined,
        (error: Error) => error,
      )
      if (error) refused.push({ feature, module, error: error.message.split('\n')[0] ?? '' })
      if (error && refused.length === 1 && feature === NFTABLES[0]?.[0]) break // without a table nothing else is
    }
    return refused
  } finally {
    await nftables.close()
  }
}
