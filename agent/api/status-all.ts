import type { PublishedText } from '../cluster/view.ts'
import { publishedStatus } from '../observe/now.ts'
import { type PublishedStatus, parseStatus } from '../observe/published-status.ts'
import { RENEW_MS } from '../observe/publisher.ts'
import type { Agent } from './agent.ts'
import { problemsOf } from './status.ts'

/** An agent that lives has said something twice in this time. */
const SILENT_AFTER_SECONDS = (2.5 * RENEW_MS) / 1000

/** A node, as its agent told of itself. */
export interface NodeStatusRow {
  readonly node: string
  /** Absent: its agent has told nothing. */
  readonly status?: PublishedStatus
  readonly secondsAgo?: number
  /** Its agent has told nothing for longer than one that lives would. */
  readonly isSilent: boolean
}

/** All nodes by name; of this one what is so now. @throws Error that says what to do where the datastore keeps no such thing */
export async function statusOfAll(agent: Agent): Promise<NodeStatusRow[]> {
  const { source, options, nodes } = agent
  if (!source.board)
    throw new Error(
      `agents tell of themselves through the API server alone, and this is --datastore ${options.datastore}; ask on each node: bramblectl status`,
    )
  const own = await publishedStatus({ ...agent, problems: () => problemsOf(agent) })
  const published = source.board.published()
  // What is kept of a view, while the API server is away, has nodes of which nothing was heard.
  const names = new Set([...published.keys(), ...nodes.view.nodes.keys(), options.nodeName])
  return [...names]
    .sort()
    .map((node) =>
      node === options.nodeName
        ? { node, status: own, secondsAgo: 0, isSilent: false }
        : statusRow(node, published.get(node), Date.now(), performance.now()),
    )
}

/** @param nowMs by the clock @param monotonicMs as performance.now() tells it. Pure. */
export function statusRow(
  node: string,
  published: PublishedText | undefined,
  nowMs: number,
  monotonicMs: number,
): NodeStatusRow {
  const parsed = published && parseStatus(published.text)
  if (!parsed) return { node, isSilent: true }
  // Clocks of Pis differ, before they have heard of the time: that we heard it ourselves counts more.
  const heardSecondsAgo = published.heardAtMs === undefined ? Infinity : (monotonicMs - published.heardAtMs) / 1000
  const secondsAgo = Math.round(Math.min(Math.max(0, nowMs / 1000 - parsed.atSeconds), heardSecondsAgo))
  return { node, status: parsed.status, secondsAgo, isSilent: secondsAgo > SILENT_AFTER_SECONDS }
}
