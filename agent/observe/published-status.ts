/** What the agent of a node tells of itself to whoever asks on another one: short, since all nodes' agents hear of it. Pure. */

const PROBLEM_CHARACTERS_MAX = 160

export interface PublishedStatus {
  readonly version: string
  readonly pods: number
  readonly mtuBytes: number
  readonly policies: number
  /** How many nodes are reached in which way; `none` where they are not. */
  readonly ways: Readonly<Record<string, number>>
  /** Addresses that are given out, of the family that has least left, in percent. */
  readonly usedPercent: number
  /** Absent: a service of the node. */
  readonly runsAs?: 'pod'
  readonly problems: number
  /** The first of them. */
  readonly problem?: string
}

/** @param atSeconds since 1970: when this was so */
export function formatStatus(status: PublishedStatus, atSeconds: number): string {
  const { problem } = status
  const clipped = problem === undefined ? {} : { problem: problem.slice(0, PROBLEM_CHARACTERS_MAX).toWellFormed() }
  return JSON.stringify({ ...status, ...clipped, at: atSeconds })
}

/**
 * Whether somebody should hear of it now: pods come and go, and each word of each node goes to all nodes. What is left out here is
 * told with the rest, when its time has come.
 */
export function isSameInSubstance(a: PublishedStatus, b: PublishedStatus): boolean {
  const substance = ({ version, mtuBytes, problems, problem, ways }: PublishedStatus) =>
    JSON.stringify([version, mtuBytes, problems, problem, (ways.none ?? 0) > 0])
  return substance(a) === substance(b)
}

/** Whoever may write the Node may write anything there. @returns undefined for what no agent has written */
export function parseStatus(
  text: string,
): { readonly status: PublishedStatus; readonly atSeconds: number } | undefined {
  const parsed = parseJson(text)
  if (typeof parsed !== 'object' || parsed === null) return undefined
  const { version, pods, mtuBytes, policies, ways, usedPercent, runsAs, problems, problem, at } = parsed as Record<
    string,
    unknown
  >
  const numbers = [pods, mtuBytes, policies, usedPercent, problems, at]
  if (typeof version !== 'string' || !numbers.every(Number.isFinite) || !isCounts(ways)) return undefined
  return {
    status: {
      version,
      pods: pods as number,
      mtuBytes: mtuBytes as number,
      policies: policies as number,
      ways,
      usedPercent: usedPercent as number,
      ...(runsAs === 'pod' && { runsAs }),
      problems: problems as number,
      ...(typeof problem === 'string' && { problem }),
    },
    atSeconds: at as number,
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isCounts(value: unknown): value is Record<string, number> {
  return typeof value === 'object' && value !== null && Object.values(value).every(Number.isFinite)
}
