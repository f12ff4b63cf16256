import { renameSync, writeFileSync } from 'node:fs'
import { formatNodeObject } from '../../../agent/cluster/node-object.ts'
import type { Announcement } from '../../../agent/cluster/view.ts'
import { makePrivateKey, publicKeyOf } from '../../../agent/wireguard-key.ts'
import { parseCidr } from '../../../ipam/address.ts'
import type { Agent } from '../agent.ts'
import {
  addPodOn,
  inside,
  type LabNode,
  lanAddress,
  makeLans,
  N1,
  N2,
  N3,
  plugIn,
  podAddresses,
  startNode,
} from '../cluster.ts'
import { capture, run } from '../scratch.ts'

/* A cluster as in nodes.test.ts, on a kernel that has every mode: the virtual machine of `make test-vm`. */

export { N1, N2, N3 } from '../cluster.ts'
export const NODES = [N1, N2, N3]
export const pod = ({ name }: LabNode) => `pod-${name}`

/** The machines, which nobody knows yet. */
export async function makeLab(): Promise<void> {
  await makeLans()
  for (const node of NODES) await plugIn(node)
}

/** Writes the node's manifest as a person would, with what its agent has to tell. */
export function announceAs(node: LabNode, announcement?: Announcement, address = lanAddress(node)): void {
  const { name, number } = node
  const podCidrs = [`10.42.${number}.0/24`, `fd42:0:0:${number}::/64`].map(parseCidr)
  writeManifest(node, formatNodeObject({ name, podCidrs, addresses: [address], ...(announcement && { announcement }) }))
}

export function writeManifest({ name }: LabNode, manifest: object): void {
  writeFileSync(`/run/cluster/.${name}`, JSON.stringify(manifest))
  renameSync(`/run/cluster/.${name}`, `/run/cluster/${name}.json`)
}

const keyFile = ({ name }: LabNode) => `/run/${name}.key`

/** Gives the node a key of its own, another one than before. @returns what the others have to know */
export function giveKey(node: LabNode): Announcement {
  const key = makePrivateKey()
  writeFileSync(keyFile(node), `${key}\n`, { mode: 0o600 })
  return {
    encapsulations: ['vxlan', 'ipip', 'wireguard'],
    wireguard: { publicKey: publicKeyOf(key), port: 51_820 },
  }
}

/** The node's agent, with the key that it was given. */
export function startWithKey(node: LabNode, ...args: string[]): Promise<Agent> {
  return startNode(node, '--wireguard-key-file', keyFile(node), ...args)
}

export async function addPods(): Promise<void> {
  await Promise.all(NODES.map(addPodOn))
}

/** Every node's pod to every other's, in both families, with packets of this size in one piece. @returns who does not reach whom */
export async function unreached(packetBytes: number, nodes = NODES): Promise<string[]> {
  const pairs = nodes.flatMap((from) =>
    nodes.filter((to) => to !== from).flatMap((to) => podAddresses(to).map((address) => [pod(from), address] as const)),
  )
  return unanswered(pairs, packetBytes)
}

/** @param pairs network namespace and address */
export async function unanswered(
  pairs: readonly (readonly [netns: string, address: string])[],
  packetBytes = 84,
): Promise<string[]> {
  const answers = await Promise.all(
    pairs.map(async ([netns, address]) => {
      const headerBytes = address.includes(':') ? 48 : 28
      const options = ['-n', '-c', '1', '-W', '2', '-M', 'do', '-s', String(packetBytes - headerBytes)]
      const { exitCode, stdout } = await inside(netns, 'ping', ...options, address)
      return exitCode === 0 ? undefined : `${netns} to ${address}: ${stdout.trim().split('\n').at(-1)}`
    }),
  )
  return answers.filter((answer) => answer !== undefined)
}

/** What of the kernel is ours on a node, in the words of `ip` and `wg`, without what changes by itself. */
export async function objectsOf({ name }: LabNode): Promise<string> {
  const batch = async (family: string, ...lines: string[]) =>
    (await capture('ip', ['-n', name, family, '-o', '-d', '-force', '-batch', '-'], lines.join('\n'))).stdout
  const [ipv4, ipv6, wg] = await Promise.all([
    batch('-4', 'link show', 'address show', 'neighbour show nud permanent', 'route show proto 97'),
    batch('-6', 'address show', 'neighbour show nud permanent', 'route show proto 97'),
    inside(name, 'wg', 'show', 'bramble.wg', 'dump'),
  ])
  const lines = [...ipv4.split('\n'), ...ipv6.split('\n')]
    .filter((line) => /bramble\.|^(unicast|blackhole)/.test(line) && !line.includes('inet6 fe80:'))
    .map((line) =>
      line
        .replace(/^\d+: /, '')
        .replace(/\s+/g, ' ')
        .trim(),
    )
  return [...lines, ...wireguardLines(wg.exitCode === 0 ? wg.stdout : '')].sort().join('\n')
}

/** wg(8), `dump`: the link's keys and port, then for each peer key, secret, endpoint, addresses, handshake, bytes in and out, keepalive. */
function wireguardLines(dump: string): string[] {
  const [device, ...peers] = dump.trim().split('\n').filter(Boolean)
  if (device === undefined) return []
  const [, publicKey, port] = device.split('\t')
  return [
    `wg ${publicKey} port ${port}`,
    ...peers.map((line) => {
      const [key, , endpoint, allowedIps = '', , , , keepalive] = line.split('\t')
      return `wg peer ${key} ${endpoint} ${allowedIps.split(',').sort().join()} ${keepalive}`
    }),
  ]
}

/** How many packets were cut, or put together again, since they were made: by nodes, pods and the router. */
export async function fragments(): Promise<number> {
  const counters = ['cat', '/proc/net/snmp', '/proc/net/snmp6']
  const texts = await Promise.all([
    run('cat', ...counters.slice(1)),
    ...NODES.flatMap((node) => [node.name, pod(node)]).map(async (netns) => (await inside(netns, ...counters)).stdout),
  ])
  return texts.reduce((sum, text) => sum + fragmentsIn(text), 0)
}

function fragmentsIn(counters: string): number {
  const [names = '', values = ''] = counters.split('\n').filter((line) => line.startsWith('Ip: '))
  const numbers = values.split(' ')
  const ipv4 = names.split(' ').flatMap((name, index) => (/^(Frag|Reasm)/.test(name) ? Number(numbers[index]) : []))
  const ipv6 = [...counters.matchAll(/^Ip6(?:Frag|Reasm)\w+\s+(\d+)$/gm)].map(([, value]) => Number(value))
  if (ipv4.length === 0 || ipv6.length === 0) throw new Error('no counters of fragments')
  return [...ipv4, ...ipv6].reduce((sum, value) => sum + value, 0)
}
