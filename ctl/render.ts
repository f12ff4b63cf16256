import type { IpamRow, NodeRow, PodRow } from '../agent/api/control.ts'
import type { RegisteredNode } from '../agent/cluster/view.ts'
import { duration } from './duration.ts'
import { renderTable } from './table.ts'

/** The agent's answers as people read them. Pure. */

export function renderPods(pods: readonly PodRow[]): string {
  if (pods.length === 0) return 'no pod has an address from this agent'
  const hasPorts = pods.some(({ hostPorts }) => hostPorts !== undefined)
  const rows = pods
    .toSorted((a, b) => a.pod.localeCompare(b.pod) || a.ifname.localeCompare(b.ifname))
    .map(({ pod, ifname, addresses, link, containerId, network, hostPorts = [] }) => [
      pod || '-',
      ifname,
      addresses.join(' '),
      link,
      containerId.length > 16 ? `${containerId.slice(0, 13)}...` : containerId,
      network,
      ...(hasPorts ? [hostPorts.map(portText).join(' ')] : []),
    ])
  const heads = ['POD', 'INTERFACE', 'ADDRESSES', 'LINK', 'CONTAINER', 'NETWORK']
  return renderTable(hasPorts ? [...heads, 'HOST PORTS'] : heads, rows)
}

type Port = NonNullable<PodRow['hostPorts']>[number]

/** `8080->80/tcp`, as other tools write it */
function portText({ protocol, hostIp, hostPort, containerPort }: Port): string {
  const address = hostIp.includes(':') ? `[${hostIp}]:` : hostIp && `${hostIp}:`
  return `${address}${hostPort}->${containerPort}/${protocol}`
}

export function renderIpam(pools: readonly IpamRow[]): string {
  const rows = pools.map(({ cidr, capacity, used, cooling, free }) => [
    cidr,
    count(capacity),
    used,
    cooling,
    count(free),
    `${percent(used, capacity)} ${bar(used / capacity)}`,
  ])
  return renderTable(['POOL', 'ADDRESSES', 'USED', 'COOLING', 'FREE', ''], rows)
}

export function renderNodes(nodes: readonly NodeRow[]): string {
  if (nodes.length === 0) return 'no other node is known'
  const rows = nodes
    .toSorted((a, b) => a.node.localeCompare(b.node))
    .map(({ node, podCidrs, ways, addresses, problems }) => [
      node,
      podCidrs.join(' ') || '-',
      ways.join(' ') || '-',
      addresses.join(' ') || '-',
      problems.join('; '),
    ])
  return renderTable(['NODE', 'POD CIDRS', 'WAY', 'ADDRESS', ''], rows)
}

export function renderRegistry(nodes: readonly RegisteredNode[]): string {
  if (nodes.length === 0) return 'no node has pod CIDRs'
  const rows = nodes.map(({ name, podCidrs, addresses, secondsAgo }) => [
    name,
    podCidrs.join(' ') || '-',
    addresses.join(' ') || '-',
    secondsAgo === undefined ? 'unknown' : `${duration(secondsAgo)} ago`,
  ])
  return renderTable(['NODE', 'POD CIDRS', 'ADDRESS', 'SEEN'], rows)
}

export function renderRemoval({ node, podCidrs }: { readonly node: string; readonly podCidrs: readonly string[] }) {
  return `${node} is removed; free again: ${podCidrs.join(', ') || 'nothing'}`
}

export function renderDifferences(differences: readonly string[]): string {
  if (differences.length === 0) return 'leases and kernel agree'
  const count = differences.length === 1 ? '1 difference' : `${differences.length} differences`
  return [`${count} between leases and kernel:`, ...differences.map((one) => `  ${one}`)].join('\n')
}

const BAR_WIDTH = 20

function bar(share: number): string {
  const full = Math.min(BAR_WIDTH, Math.ceil(share * BAR_WIDTH))
  return '█'.repeat(full) + '░'.repeat(BAR_WIDTH - full)
}

function percent(part: number, whole: number): string {
  return `${((100 * part) / whole).toFixed(0).padStart(3)} %`
}

/** A /64 has more addresses than anybody wants to read. */
function count(number: number): string {
  return number > 1e9 ? '>10^9' : String(number)
}
