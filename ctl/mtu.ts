import type { MtuReport, PeerPath } from '../agent/api/mtu-report.ts'
import { renderTable } from './table.ts'

/** The agent's answer about MTUs as people read it. Pure. */

/** The least that IPv6 works with: RFC 8200, section 5. */
const IPV6_LEAST_BYTES = 1280

export function renderMtu(report: MtuReport): string {
  return [steps(report), ...peers(report.peers), ...verdict(report)].join('\n\n')
}

/** @returns false when a path was measured and is too narrow, or could not be measured */
export function isMtuGood({ peers }: MtuReport): boolean {
  return !peers.some((peer) => isTooNarrow(peer) || isUnknown(peer))
}

function steps({ steps, podMtuBytes }: MtuReport): string {
  const rows = [...steps.map(({ what, bytes, why }) => [what, bytes, why]), ['pods', podMtuBytes, '']]
  return renderTable(['STEP', 'BYTES', 'WHY'], rows)
}

function peers(peers: readonly PeerPath[]): string[] {
  if (peers.length === 0) return []
  const wasMeasured = peers.some(({ measuredBytes, problem }) => measuredBytes !== undefined || problem !== undefined)
  const rows = peers
    .toSorted((a, b) => a.node.localeCompare(b.node) || a.address.localeCompare(b.address))
    .map((peer) => {
      const { node, way, address, neededBytes, measuredBytes = '-' } = peer
      return [node, way, address, neededBytes, ...(wasMeasured ? [measuredBytes, remark(peer)] : [])]
    })
  return [renderTable(['NODE', 'WAY', 'ADDRESS', 'NEEDS', ...(wasMeasured ? ['MEASURED', ''] : [])], rows)]
}

function remark(peer: PeerPath): string {
  const short = isTooNarrow(peer) ? [`too narrow by ${peer.neededBytes - peer.measuredBytes} bytes`] : []
  return [...short, ...(peer.problem ? [peer.problem] : [])].join('; ')
}

/** One MTU for all of them: two pods that disagree lose each other's large packets. */
function verdict({ podMtuBytes, peers }: MtuReport): string[] {
  const narrow = peers.filter(isTooNarrow)
  const unknown = peers.filter(isUnknown).length
  const lines = unknown > 0 ? [`${unknown} of ${peers.length} paths could not be measured`] : []
  if (narrow.length > 0) {
    const shortBytes = Math.max(...narrow.map(({ neededBytes, measuredBytes }) => neededBytes - measuredBytes))
    const fitBytes = podMtuBytes - shortBytes
    const remedy =
      fitBytes >= IPV6_LEAST_BYTES
        ? `set --mtu ${fitBytes} on all nodes`
        : `set --mtu ${fitBytes} on all nodes if pods have no IPv6, which needs ${IPV6_LEAST_BYTES}; else widen the paths`
    lines.push(`packets of pods are too large for ${narrow.length} of ${peers.length} paths: ${remedy}`)
  }
  return lines.length > 0 ? [lines.join('\n')] : []
}

function isTooNarrow(peer: PeerPath): peer is PeerPath & { readonly measuredBytes: number } {
  return peer.measuredBytes !== undefined && peer.measuredBytes < peer.neededBytes
}

function isUnknown({ measuredBytes, problem }: PeerPath): boolean {
  return measuredBytes === undefined && problem !== undefined
}
