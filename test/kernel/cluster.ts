import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Agent } from './agent.ts'
import { capture, makeNetns, type Output, run } from './scratch.ts'

const PLUGIN = fileURLToPath(new URL('../../dist/bin/bramble', import.meta.url))
const FOLDER = '/run/cluster'

/** One node of a cluster of network namespaces: number 1 has 10.42.1.0/24 and fd42:0:0:1::/64. */
export interface LabNode {
  readonly name: string
  readonly number: number
  readonly lan: 'a' | 'b'
}

/** n1 and n2 share a LAN, n3 is behind the router. */
export const [N1, N2, N3]: readonly [LabNode, LabNode, LabNode] = [
  { name: 'n1', number: 1, lan: 'a' },
  { name: 'n2', number: 2, lan: 'a' },
  { name: 'n3', number: 3, lan: 'b' },
]

export const podAddresses = ({ number }: LabNode) => [`10.42.${number}.1`, `fd42:0:0:${number}::1`]
const podCidrsOf = ({ number }: LabNode) => [`10.42.${number}.0/24`, `fd42:0:0:${number}::/64`]
export const lanAddress = ({ lan, number }: LabNode) => `192.168.${lan === 'a' ? 1 : 2}.${number}`

/** Two LAN segments, joined by a router, which is the scratch node itself. */
export async function makeLans(): Promise<void> {
  await run('sysctl', '-qw', 'net.ipv4.ip_forward=1')
  for (const [lan, router] of [
    ['a', '192.168.1.254/24'],
    ['b', '192.168.2.254/24'],
  ] as const) {
    await run('ip', 'link', 'add', `lan-${lan}`, 'type', 'bridge')
    await run('ip', 'address', 'add', router, 'dev', `lan-${lan}`)
    await run('ip', 'link', 'set', `lan-${lan}`, 'up')
  }
  mkdirSync(FOLDER)
}

/** A machine on a LAN with a default route, and no agent yet. */
export async function plugIn(node: LabNode): Promise<void> {
  const { name, lan } = node
  await makeNetns(name)
  await run('ip', 'link', 'add', `to-${name}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
  await run('ip', 'link', 'set', `to-${name}`, 'master', `lan-${lan}`, 'up')
  await run('ip', '-n', name, 'link', 'set', 'lo', 'up')
  await run('ip', '-n', name, 'address', 'add', `${lanAddress(node)}/24`, 'dev', 'eth0')
  await run('ip', '-n', name, 'link', 'set', 'eth0', 'up')
  await run('ip', '-n', name, 'route', 'add', 'default', 'via', lan === 'a' ? '192.168.1.254' : '192.168.2.254')
}

/** Writes the node's manifest, where all agents see it. */
export function announce(node: LabNode, address = lanAddress(node), podCIDRs = podCidrsOf(node)): void {
  announceNode(node.name, address, podCIDRs)
}

/** The same of any node. */
export function announceNode(name: string, address: string, podCIDRs: readonly string[]): void {
  const object = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    spec: { podCIDRs },
    status: { addresses: [{ type: 'InternalIP', address }] },
  }
  writeFileSync(`${FOLDER}/${name}.json`, JSON.stringify(object))
}

export function withdraw({ name }: LabNode): void {
  rmSync(`${FOLDER}/${name}.json`)
}

export function startNode(node: LabNode, ...args: string[]): Promise<Agent> {
  const { name } = node
  return Agent.start({
    netns: name,
    nodeName: name,
    stateDir: `/run/bramble-${name}`,
    podCidrs: podCidrsOf(node),
    args: ['--cluster-dir', FOLDER, ...args],
  })
}

/** A node that gets its pod CIDRs from the cluster that the arguments name; it may have to wait for them. */
export function spawnMember({ name }: LabNode, ...args: string[]): Agent {
  return Agent.spawn({ netns: name, nodeName: name, stateDir: `/run/bramble-${name}`, podCidrs: [], args })
}

/** The node's one pod, by the plugin as a process on that node; its namespace is `pod-NODE`. */
export async function addPodOn({ name }: LabNode): Promise<void> {
  await makeNetns(`pod-${name}`)
  const output = await inside(
    name,
    ...['env', `BRAMBLE_SOCKET=/run/bramble-${name}/agent.sock`, 'CNI_COMMAND=ADD', `CNI_CONTAINERID=pod-${name}`],
    ...[`CNI_NETNS=/run/netns/pod-${name}`, 'CNI_IFNAME=eth0', PLUGIN],
  )
  if (output.exitCode !== 0) throw new Error(output.stdout)
}

/** Runs a command inside of a namespace, the network configuration on its stdin. */
export function inside(netns: string, ...command: string[]): Promise<Output> {
  const config = JSON.stringify({ cniVersion: '1.0.0', name: 'bramble', type: 'bramble' })
  return capture('ip', ['netns', 'exec', netns, ...command], config)
}

/** Does a packet of this size get there and back in one piece? */
export async function reaches(fromNetns: string, address: string, packetBytes = 84): Promise<boolean> {
  const headers = address.includes(':') ? 48 : 28
  const options = ['-n', '-c', '1', '-W', '1', '-M', 'do', '-s', String(packetBytes - headers)]
  return (await inside(fromNetns, 'ping', ...options, address)).exitCode === 0
}
