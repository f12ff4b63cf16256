import type { AgentPod, NodeUnready, PublishedText } from '../cluster/view.ts'
import type { AgedText } from '../observe/history.ts'
import { troubleOfNode } from '../observe/node-trouble.ts'
import { publishedStatus } from '../observe/now.ts'
import { type PublishedStatus, parseStatus } from '../observe/published-status.ts'
import { RENEW_MS } from '../observe/publisher.ts'
import type { Agent } from './agent.ts'
import { problemsOf } from './status.ts'

/** An agent that lives has said something twice in this time. */
const SILENT_AFTER_SECONDS = (2.5 * RENEW_MS) / 1000

/** A node, as its agent told of itself, and as the cluster sees it. */
export interface NodeStatusRow {
  readonly node: string
  /** Absent: its agent has told nothing. */
  readonly status?: PublishedStatus
  readonly secondsAgo?: number
  /** Its agent has told nothing for longer than one that lives would. */
  readonly isSilent: boolean
  /** Why what it told is not so any more; absent: nothing is known against it. */
  readonly trouble?: Omit<AgedText, 'secondsAgo'> & Partial<AgedText>
}

/** What the cluster has of one node. */
export interface SeenRow {
  readonly node: string
  readonly published: PublishedText | undefined
  readonly unready: NodeUnready | undefined
  /** On it; undefined: not known. */
  readonly pods: readonly AgentPod[] | undefined
}

/** All nodes by name; of this one what is so now. @throws Error that says what to do where the datastore keeps no such thing */
export async function statusOfAll(agent: Agent): Promise<NodeStatusRow[]> {
  const { source, options, nodes, touch } = agent
  const { board } = source
  if (!board)
    throw new Error(
      `agents tell of themselves through the API server alone, and this is --datastore ${options.datastore}; ask on each node: bramblectl status`,
    )
  const own = await publishedStatus({ ...agent, problems: () => problemsOf(agent) })
  const [published, unready, agentPods] = [board.published(), board.unready(), board.agentPods()]
  const podsByNode = agentPods && Map.groupBy(agentPods, ({ nodeName }) => nodeName)
  const seen = (node: string): SeenRow => ({
    node,
    published: published.get(node),
    unready: unready.get(node),
    pods: podsByNode && (podsByNode.get(node) ?? []),
  })
  // What is kept of a view, while the API server is away, has nodes of which nothing was heard.
  const names = new Set([...published.keys(), ...nodes.view.nodes.keys(), options.nodeName])
  const away = touch.isAway
    ? { trouble: { text: `not known: ${touch.server} is away`, secondsAgo: Math.round(touch.ageSeconds) } }
    : undefined
  return [...names].sort().map((node) => {
    if (node === options.nodeName) return { node, status: own, secondsAgo: 0, isSilent: false }
    return { ...statusRow(seen(node), Date.now(), performance.now()), ...away }
  })
}

/** @param nowMs by the clock @param monotonicMs as performance.now() tells it. Pure. */
export function statusRow(seen: SeenRow, nowMs: number, monotonicMs: number): NodeStatusRow {
  const { node, published } = seen
  const parsed = published && parseStatus(published.text)
  const found = troubleOfNode({ ...seen, status: parsed?.status })
  const trouble = found && {
    trouble: {
      text: found.text,
      ...(found.sinceMs !== undefined && { secondsAgo: secondsSince(found.sinceMs, nowMs) }),
    },
  }
  if (!parsed) return { node, isSilent: true, ...trouble }
  // Clocks of Pis differ, before they have heard of the time: that we heard it ourselves counts more.
  const heardSecondsAgo = published.heardAtMs === undefined ? Infinity : (monotonicMs - published.heardAtMs) / 1000
  const secondsAgo = Math.round(Math.min(secondsSince(parsed.atSeconds * 1000, nowMs), heardSecondsAgo))
  return { node, status: parsed.status, secondsAgo, isSilent: secondsAgo > SILENT_AFTER_SECONDS, ...trouble }
}

function secondsSince(atMs: number, nowMs: number): number {
  return Math.round(Math.max(0, nowMs - atMs) / 1000)
}
