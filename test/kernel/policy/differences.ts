import { until } from '../agent.ts'
import { type Outcome, type Probe, probe } from './probe.ts'

/** What is expected, in words for those who read of it. */
export type Expectation = Probe & { readonly what: string }

/**
 * Probes until all is as expected: a change of the cluster takes a moment.
 * @returns what is not, in words; empty when all came to be
 */
export async function differences(expectations: readonly Expectation[], timeoutMs = 20_000): Promise<string[]> {
  let outcomes: Outcome[] = []
  const wrong = () =>
    expectations.flatMap(({ what, expected }, index) =>
      outcomes[index] === expected ? [] : [`${what}: ${outcomes[index]}, not ${expected}`],
    )
  const attempt = async () => {
    outcomes = await probe(expectations)
    return wrong().length === 0
  }
  await until('all is as expected', attempt, timeoutMs).catch(() => {})
  return wrong()
}

/** TCP and UDP to a port of each of the addresses. */
export function calls(
  what: string,
  netns: string,
  addresses: readonly string[],
  expected: 'open' | 'closed',
  port = 80,
): Expectation[] {
  return addresses.flatMap((address) =>
    (['tcp', 'udp'] as const).map((protocol) => ({
      ...{ what: `${what} ${address} ${protocol}`, netns, address, protocol },
      ...{ port, expected },
    })),
  )
}
