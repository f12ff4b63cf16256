import { hostLinkName, LINK_GROUP } from '../../agent/ownership.ts'
import { type Agent, until } from './agent.ts'
import { ip } from './node.ts'
import type { Pod } from './pod.ts'
import { capture, run } from './scratch.ts'

/** All that an agent could leave behind or break, in the words of `ip`: in two equal ones nothing has changed. */
export type KernelState = readonly string[]

const SHOWN = [
  'link show',
  'address show',
  'route show table all type unicast',
  'rule show',
  'neighbour show nud permanent',
].join('\n')

/** @param netns the node's own where none is given */
export async function kernelState(netns?: string): Promise<KernelState> {
  const shown = await Promise.all(
    ['-4', '-6'].map((family) => {
      const ip = ['ip', '-oneline', family, '-batch', '-']
      return netns ? capture('nsenter', [`--net=${netns}`, ...ip], SHOWN) : capture('ip', ip.slice(1), SHOWN)
    }),
  )
  return shown.flatMap(({ stdout, stderr }) => [
    ...stdout
      .split('\n')
      .map((line) => line.replace(' tentative', '').replace('state UNKNOWN', 'state UP').trim()) // settle by themselves
      .sort(),
    ...(stderr === '' ? [] : [stderr]),
  ])
}

/** Waits until removed links are gone, which takes the kernel and the agent a moment; in the end the difference tells. */
export async function settled(expected: KernelState, netns?: string): Promise<KernelState> {
  const text = JSON.stringify(expected)
  await until('as expected', async () => JSON.stringify(await kernelState(netns)) === text).catch(() => {})
  return kernelState(netns)
}

/** Links, addresses and routes of somebody else that look like ours at first sight. */
export async function addForeignObjects(): Promise<void> {
  const veth = hostLinkName('somebody-elses', 'eth0')
  await run('ip', 'link', 'add', veth, 'type', 'veth', 'peer', 'foreign0')
  await run('ip', 'link', 'add', 'brm0', 'alias', 'bramble/1 x', 'type', 'veth', 'peer', 'foreign1')
  await run('ip', 'link', 'add', 'brm00000000beef', 'type', 'bridge')
  await run('ip', 'link', 'set', 'brm00000000beef', 'group', String(LINK_GROUP.pods))
  for (const link of [veth, 'foreign0', 'brm0', 'foreign1', 'brm00000000beef'])
    await run('ip', 'link', 'set', link, 'up')
  await run('ip', 'address', 'add', '198.51.100.1/24', 'dev', 'brm0')
  await run('ip', 'route', 'add', '10.42.0.250/32', 'dev', veth)
  await run('ip', 'route', 'add', 'fd42::ffff/128', 'dev', veth)
  await run('ip', 'rule', 'add', 'from', '198.51.100.1', 'lookup', '100', 'priority', '1000')
  await run('ip', 'neighbour', 'add', '198.51.100.7', 'lladdr', '02:00:00:00:00:07', 'dev', 'brm0', 'nud', 'permanent')
  await until('the kernel has seen that both pairs have a carrier', async () => {
    const links: { operstate: string }[] = await ip(undefined, 'link', 'show', 'type', 'veth')
    return links.every(({ operstate }) => operstate === 'UP')
  })
}

/** As kubelet removes pods: a DEL for each interface, then the namespace. */
export async function removed(...pods: readonly Pod[]): Promise<void> {
  for (const pod of pods) await pod.del()
  for (const pod of pods) if (pod.ifname === 'eth0') await pod.vanish()
}

/** Who has a lease, as `CONTAINERID:IFNAME ADDRESS ADDRESS`. */
export async function leases(agent: Agent): Promise<string[]> {
  const pods = await agent.ask('pods')
  return pods.map(({ containerId, ifname, addresses }) => `${containerId}:${ifname} ${addresses.join(' ')}`).sort()
}

/** How many addresses of the first pool are held. */
export async function heldAddresses(agent: Agent): Promise<number> {
  const [pool] = await agent.ask('ipam')
  return pool?.used ?? -1
}
