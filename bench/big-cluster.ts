import { mkdirSync, writeFileSync } from 'node:fs'
import { makeNetns, run } from '../test/kernel/scratch.ts'

/**
 * A dual-stack cluster of any size, one node of which is real: of the others every second one is in its subnet, and has a
 * direct route; the rest are behind a router, and so behind VXLAN.
 */
export const BIG = 5_000
export const SMALL = 100
const SELF = nodeName(0)

const LABELS = {
  'beta.kubernetes.io/arch': 'arm64',
  'kubernetes.io/arch': 'arm64',
  'kubernetes.io/os': 'linux',
  'node.kubernetes.io/instance-type': 'k3s',
}

/** Some 4 KB, which have to be read over. */
const KUBELETS_WORDS = {
  capacity: { cpu: '4', memory: '8129012Ki', pods: '110' },
  conditions: ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'Ready'].map((type) => ({
    type,
    status: type === 'Ready' ? 'True' : 'False',
    lastHeartbeatTime: '2026-01-01T00:00:00Z',
    lastTransitionTime: '2026-01-01T00:00:00Z',
    reason: `KubeletHas${type}`,
    message: `kubelet tells of ${type}`,
  })),
  images: Array.from({ length: 20 }, (_, i) => ({
    names: [`registry.example/library/image-${i}@sha256:${'0123456789abcdef'.repeat(4)}`, `library/image-${i}:1.0`],
    sizeBytes: 1_000_000 * (i + 1),
  })),
  nodeInfo: {
    architecture: 'arm64',
    kernelVersion: '6.12.47+rpt-rpi-v8',
    kubeletVersion: 'v1.34.1',
    operatingSystem: 'linux',
  },
}

export function nodeName(number: number): string {
  return `pi-${number}`
}

/**
 * A Node as the API server has it, with what kubelet writes into it and nobody here reads.
 * @param moves how often it has got another address since it came
 */
export function nodeObject(number: number, moves = 0) {
  const [high, low] = [number >> 8, number & 0xff]
  const [near4, near6] = number % 2 === 0 ? ['172.16', 'fd16:'] : ['172.17', 'fd17:']
  const host = 1 + high + (moves % 2) * 128
  const podCIDRs = [`10.${64 + high}.${low}.0/24`, `fd42:0:0:${number.toString(16)}::/64`]
  const addresses = [`${near4}.${host}.${low}`, `${near6}:${(host * 256 + low).toString(16)}`]
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: nodeName(number), labels: LABELS },
    spec: { podCIDR: podCIDRs[0], podCIDRs },
    status: {
      addresses: [
        ...addresses.map((address) => ({ type: 'InternalIP', address })),
        { type: 'Hostname', address: nodeName(number) },
      ],
      ...KUBELETS_WORDS,
    },
  }
}

/** Who the real node is to its agent, whatever the cluster's source. */
export const SELF_OPTIONS = ['--node-name', SELF, '--cluster-cidr', '10.64.0.0/10', '--cluster-cidr', 'fd42::/48']

/** The pod CIDRs of the real node. */
export const SELF_POD_CIDRS = nodeObject(0).spec.podCIDRs

/** One file for each node, as an administrator or a script writes them. @returns the folder */
export function writeManifests(count: number): string {
  const folder = `/run/bench/cluster-${count}`
  mkdirSync(folder, { recursive: true })
  for (let number = 0; number < count; number++) {
    const { apiVersion, kind, metadata, spec, status } = nodeObject(number)
    const { name } = metadata
    const lines = [
      `apiVersion: ${apiVersion}`,
      `kind: ${kind}`,
      `metadata:\n  name: ${name}`,
      `spec:\n  podCIDRs:\n${spec.podCIDRs.map((cidr) => `    - "${cidr}"`).join('\n')}`,
      `status:\n  addresses:`,
      ...status.addresses.map(({ type, address }) => `    - type: ${type}\n      address: "${address}"`),
    ]
    writeFileSync(`${folder}/${name}.yaml`, `${lines.join('\n')}\n`)
  }
  return folder
}

/** The real node: a network namespace with an uplink to its subnet, on which nobody else is. @returns its path */
export async function makeRealNode(netns: string): Promise<string> {
  const path = await makeNetns(netns)
  const [own4, own6] = nodeObject(0).status.addresses.map(({ address }) => address)
  const ip = (...args: string[]) => run('ip', '-n', netns, ...args)
  await ip('link', 'set', 'lo', 'up')
  await ip('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'lan')
  for (const link of ['lan', 'eth0']) await ip('link', 'set', link, 'up')
  await ip('address', 'add', `${own4}/16`, 'dev', 'eth0')
  await ip('address', 'add', `${own6}/64`, 'dev', 'eth0', 'nodad')
  await ip('route', 'add', 'default', 'via', '172.16.255.254', 'dev', 'eth0')
  await ip('route', 'add', 'default', 'via', 'fd16::ffff', 'dev', 'eth0')
  return path
}
