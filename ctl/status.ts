import type { NodeStatusRow, Status } from '../agent/api/control.ts'
import type { StatusDetail } from '../agent/api/status.ts'
import { duration } from './duration.ts'
import { renderTable } from './table.ts'

/** How a node is, and how all are, as people read it. Pure. */

const NAME_WIDTH = 15
/** A store that is full of rubbish has a problem for each piece of it. */
const PROBLEMS_SHOWN = 50
const LOOP_WORDS = { nodes: 'ways to nodes', pods: "pods' links", policies: 'policies' } as const

export function renderStatus(status: Status): string {
  const { detail } = status
  const lines: (readonly [string, string])[] = [
    ['node', status.nodeName],
    ['agent', `${status.version}, pid ${status.pid}, up ${duration(status.uptimeSeconds)}`],
    ['datastore', detail ? `${status.datastore}${source(detail)}` : status.datastore],
    ['pod CIDRs', status.podCidrs.join(', ')],
    ...(detail ? pools(detail) : []),
    ['MTU of new pods', `${status.mtuBytes} bytes`],
    ['pods', String(status.pods)],
    ['policies', String(status.policies)],
    ['other nodes', String(status.peers)],
    ...(detail ? ways(detail) : []),
    ['under way', `${status.callsUnderWay} calls, ${status.linksToDelete} links to delete`],
    ['memory', `${(status.memoryRssBytes / 1048576).toFixed(1)} MiB`],
    ...(detail ? [['as it should be', settled(detail)] as const] : []),
    ...(detail?.lastError ? [['last error', aged(detail.lastError)] as const] : []),
    ...(detail ? repairs(detail) : []),
    ['health', health(status)],
  ]
  return lines.map(([name, value]) => `${name.padEnd(NAME_WIDTH)}  ${value}`).join('\n')
}

export function renderAllStatuses(rows: readonly NodeStatusRow[]): string {
  const table = rows.map((row) => {
    const { node, status, secondsAgo } = row
    if (!status) return [node, '-', '-', '-', '-', '-', '-', '-', healthOf(row)]
    const { version, pods, usedPercent, ways, mtuBytes, policies } = status
    const age = `${duration(secondsAgo ?? 0)} ago`
    return [node, version, pods, `${usedPercent} %`, wayCounts(ways), mtuBytes, policies, age, healthOf(row)]
  })
  return renderTable(['NODE', 'AGENT', 'PODS', 'POOL', 'OTHER NODES', 'MTU', 'POLICIES', 'TOLD', 'HEALTH'], table)
}

/** Every node has spoken, and neither it nor the cluster has anything to complain of. */
export function areAllGood(rows: readonly NodeStatusRow[]): boolean {
  return rows.every(({ status, isSilent, trouble }) => !isSilent && !trouble && status?.problems === 0)
}

/** What the cluster says counts more than what its agent said before. */
function healthOf({ status, isSilent, trouble }: NodeStatusRow): string {
  const { problem, problems = 0 } = status ?? {}
  const more = problems > 1 ? ` (and ${problems - 1} more)` : ''
  const told = problem === undefined ? 'good' : `${problem}${more}`
  if (trouble) {
    const since = trouble.secondsAgo === undefined ? '' : ` (since ${duration(trouble.secondsAgo)})`
    return `${trouble.text}${since}${problem === undefined ? '' : `; was: ${told}`}`
  }
  if (!status) return 'silent: its agent has told nothing; on it: bramblectl status'
  return isSilent ? `silent; was: ${told}; on it: bramblectl status` : told
}

function source({ source: { server, awaySeconds, changedSecondsAgo } }: StatusDetail): string {
  const touch =
    server === undefined
      ? []
      : [awaySeconds === undefined ? `${server} is heard` : `${server} is away since ${duration(awaySeconds)}`]
  const change = changedSecondsAgo === undefined ? [] : [`changed ${duration(changedSecondsAgo)} ago`]
  return [...touch, ...change].map((text) => `, ${text}`).join('')
}

function pools({ pools }: StatusDetail): (readonly [string, string])[] {
  return pools.map(({ used, cooling, capacity }, index) => {
    const free = capacity > 1e9 ? '' : ` of ${capacity}` // of a /64 nobody wants to read it
    return [index === 0 ? 'addresses' : '', `${used}${free} used, ${cooling} cooling`]
  })
}

function ways({ ways }: StatusDetail): (readonly [string, string])[] {
  return ways.map(({ way, count, nodes }) => {
    const more = count > nodes.length ? ', …' : ''
    return ['', `${count} ${way === 'none' ? 'not reached' : way}: ${nodes.join(', ')}${more}`]
  })
}

function wayCounts(ways: Readonly<Record<string, number>>): string {
  const counts = Object.entries(ways).map(([way, count]) => `${count} ${way === 'none' ? 'not reached' : way}`)
  return counts.join(', ') || '0'
}

function settled({ settledSecondsAgo }: StatusDetail): string {
  const parts = Object.entries(settledSecondsAgo).map(
    ([loop, seconds]) => `${LOOP_WORDS[loop as keyof typeof LOOP_WORDS] ?? loop} ${duration(seconds)} ago`,
  )
  return parts.join(', ') || 'nothing has been looked at yet'
}

/** An agent of an older version tells nothing of them. */
function repairs({ repairs = [] }: Partial<StatusDetail>): (readonly [string, string])[] {
  return repairs.map(({ text, secondsAgo }, index) => [
    index === 0 ? 'repaired' : '',
    `${duration(secondsAgo)} ago, what another program had changed: ${text}`,
  ])
}

function aged({ text, secondsAgo }: { readonly text: string; readonly secondsAgo: number }): string {
  return `${duration(secondsAgo)} ago: ${text}`
}

function health({ problems, detail }: Status): string {
  if (problems.length === 0) return 'good'
  const lines = detail
    ? detail.problems.map(({ text, secondsAgo }) => `${text} (since ${duration(secondsAgo)})`)
    : problems
  const more = lines.length - PROBLEMS_SHOWN
  const shown = more > 0 ? [...lines.slice(0, PROBLEMS_SHOWN), `and ${more} more; see -o json`] : lines
  return shown.join(`\n${' '.repeat(NAME_WIDTH + 2)}`)
}
