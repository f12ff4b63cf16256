import { announce, type LabNode, lanAddress, makeLans, plugIn, podAddresses } from '../test/kernel/cluster.ts'
import { makeNetns, run } from '../test/kernel/scratch.ts'
import { type Agent, startAgent } from './agent.ts'
import { callAgent } from './client.ts'
import type { Lab } from './lab.ts'
import type { Pod } from './traffic.ts'

const FOLDER = '/run/cluster'
/** Of Ethernet, less what VXLAN takes: with one peer behind VXLAN, the pods of all have it. */
const POD_MTU_BYTES = 1450
const VXLAN = ['id', '4096', 'dstport', '4789', 'nolearning']
const GATEWAY = '169.254.1.1'
const HOST_MAC = 'ee:ee:ee:ee:ee:ee'

/** One pod on each of three nodes: the second is in the subnet of the first, the third behind a router and VXLAN. */
export interface SmallCluster {
  readonly pods: { readonly first: Pod; readonly near: Pod; readonly far: Pod }
}

/** With an agent on each node. */
export interface AgentCluster extends SmallCluster {
  restart(node: number, signal: NodeJS.Signals): Promise<void>
  stop(): Promise<void>
}

const nodes = (side: string, first: number): readonly [LabNode, LabNode, LabNode] => [
  { name: `${side}1`, number: first, lan: 'a' },
  { name: `${side}2`, number: first + 1, lan: 'a' },
  { name: `${side}3`, number: first + 2, lan: 'b' },
]

/** Two LANs with a router between them, for all clusters. */
export async function makeSmallClusters(lab: Lab) {
  await makeLans()
  return { ours: await withAgents(lab), byHand: await layByHand('hand', 11), masquerading: await layMasquerading() }
}

async function withAgents(lab: Lab): Promise<AgentCluster> {
  const members = nodes('agent', 1)
  for (const node of members) {
    await plugIn(node)
    announce(node)
  }
  const start = ({ name, number }: LabNode): Promise<Agent> => {
    const podCidr = ['--pod-cidr', `10.42.${number}.0/24`]
    const options = ['--datastore', 'local', '--node-name', name, '--cluster-dir', FOLDER, ...podCidr]
    return startAgent(lab.programs.agent, options, { node: `/run/netns/${name}`, stateDir: `/run/bench/${name}` })
  }
  const agents = await Promise.all(members.map(start))
  for (const [index, node] of members.entries()) {
    const netns = await makeNetns(`pod-${node.name}`)
    await callAgent(agents[index]?.socket ?? '', 'ADD', { containerId: `pod-${node.name}`, netns })
  }
  const stop = async (index: number, signal?: NodeJS.Signals) => {
    lab.diskBytes.push(agents[index]?.diskBytes() ?? 0)
    await agents[index]?.stop(signal)
  }
  return {
    pods: podsOf(members),
    restart: async (index, signal) => {
      await stop(index, signal)
      agents[index] = await start(members[index] ?? members[0])
    },
    stop: async () => {
      for (const index of agents.keys()) await stop(index)
    },
  }
}

/** The same links, addresses and routes, and nothing besides: what somebody types who knows how. */
async function layByHand(side: string, first: number): Promise<SmallCluster> {
  const members = nodes(side, first)
  for (const node of members) {
    await plugIn(node)
    await layPod(node)
    await layVxlan(node)
  }
  for (const node of members)
    for (const peer of members)
      if (peer !== node) await (peer.lan === node.lan ? layDirect(node, peer) : layTunnelled(node, peer))
  return { pods: podsOf(members) }
}

/** And the one rule without which no pod reaches the outside. */
async function layMasquerading(): Promise<SmallCluster> {
  const cluster = await layByHand('nat', 21)
  const commands = [
    'add table ip by-hand',
    'add chain ip by-hand postrouting { type nat hook postrouting priority srcnat; }',
    'add rule ip by-hand postrouting ip saddr 10.42.0.0/16 ip daddr != 10.42.0.0/16 masquerade',
  ]
  for (const { name } of nodes('nat', 21)) await run('ip', 'netns', 'exec', name, 'nft', commands.join(';'))
  return cluster
}

async function layPod(node: LabNode): Promise<void> {
  const pod = `pod-${node.name}`
  const [address = ''] = podAddresses(node)
  await makeNetns(pod)
  const [host, inside] = [ipIn(node.name), ipIn(pod)]
  const mtu = ['mtu', String(POD_MTU_BYTES)]
  await host('link', 'add', 'pod', ...mtu, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pod, ...mtu)
  await host('link', 'set', 'pod', 'address', HOST_MAC, 'up')
  await inside('link', 'set', 'eth0', 'up')
  await inside('address', 'add', `${address}/32`, 'dev', 'eth0')
  await inside('route', 'add', GATEWAY, 'dev', 'eth0', 'scope', 'link')
  await inside('route', 'add', 'default', 'via', GATEWAY, 'dev', 'eth0')
  await inside('neighbour', 'add', GATEWAY, 'lladdr', HOST_MAC, 'dev', 'eth0', 'nud', 'permanent')
  await host('route', 'add', address, 'dev', 'pod', 'scope', 'link')
  await run('ip', 'netns', 'exec', node.name, 'sysctl', '-qw', 'net.ipv4.ip_forward=1')
}

async function layVxlan(node: LabNode): Promise<void> {
  const ip = ipIn(node.name)
  const mtu = ['mtu', String(POD_MTU_BYTES)]
  const own = ['local', lanAddress(node)]
  await ip('link', 'add', 'vxlan', 'address', vtepMac(node), ...mtu, 'type', 'vxlan', ...VXLAN, ...own)
  await ip('address', 'add', `${vtepAddress(node)}/32`, 'dev', 'vxlan')
  await ip('link', 'set', 'vxlan', 'up')
}

async function layDirect(node: LabNode, peer: LabNode): Promise<void> {
  await ipIn(node.name)('route', 'add', `10.42.${peer.number}.0/24`, 'via', lanAddress(peer), 'dev', 'eth0')
}

async function layTunnelled(node: LabNode, peer: LabNode): Promise<void> {
  const ip = ipIn(node.name)
  const vtep = ['lladdr', vtepMac(peer), 'dev', 'vxlan', 'nud', 'permanent']
  await ip('neighbour', 'add', vtepAddress(peer), ...vtep)
  const entry = ['bridge', 'fdb', 'add', vtepMac(peer), 'dev', 'vxlan', 'dst', lanAddress(peer)]
  await run('ip', 'netns', 'exec', node.name, ...entry)
  await ip('route', 'add', `10.42.${peer.number}.0/24`, 'via', vtepAddress(peer), 'dev', 'vxlan', 'onlink')
}

const vtepAddress = ({ number }: LabNode) => `10.42.${number}.0`
const vtepMac = ({ number }: LabNode) => `66:00:00:00:00:${number.toString(16).padStart(2, '0')}`

function ipIn(netns: string) {
  return (...args: string[]) => run('ip', '-n', netns, ...args)
}

function podsOf([first, near, far]: readonly [LabNode, LabNode, LabNode]): SmallCluster['pods'] {
  const pod = (node: LabNode): Pod => ({ netns: `pod-${node.name}`, address: podAddresses(node)[0] ?? '' })
  return { first: pod(first), near: pod(near), far: pod(far) }
}
