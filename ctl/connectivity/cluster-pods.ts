import { setTimeout as sleep } from 'node:timers/promises'
import { UnreachableError } from '../../agent/cluster/kubernetes/errors.ts'
import { longestMs } from './attempts.ts'
import { isHopeless, isReady, type PodObject, podAddresses, troubleOf } from './cluster-objects.ts'
import type { PodPlace } from './objects.ts'
import { probePod, serverPod } from './objects.ts'
import type { Place, Planned, ServerPod } from './plan.ts'
import { type Outcome, parseOutcomes } from './probe.ts'
import { type Row, rowsOf } from './rows.ts'
import type { TestNamespace } from './test-namespace.ts'

const POLL_EVERY_MS = 1_000
/** A Pi that pulls nothing starts a pod in seconds; one that starts many at once takes longer. */
const START_MS = 90_000

export interface Pace {
  readonly signal: AbortSignal
  readonly say: (text: string) => void
}

/** What came of the servers. */
export interface Servers {
  readonly running: readonly ServerPod[]
  /** Whether each started, and whether its kubelet reaches it. */
  readonly rows: readonly Row[]
}

/** A server on each of the nodes. */
export async function startServers(
  namespace: TestNamespace,
  places: readonly PodPlace[],
  { signal, say }: Pace,
): Promise<Servers> {
  for (const place of places) await namespace.createPod(serverPod(place))
  let pods = new Map<string, PodObject>()
  const isSettled = ({ name }: PodPlace) => {
    const pod = pods.get(name)
    return pod !== undefined && (isReady(pod) || isHopeless(pod))
  }
  await polled(
    START_MS,
    signal,
    async () => {
      pods = await namespace.pods()
      return places.every(isSettled)
    },
    (last) => {
      const ready = places.filter(({ name }) => isReady(pods.get(name) ?? { metadata: { name } }))
      const line = `pods start: ${ready.length} of ${places.length}`
      if (line !== last) say(line)
      return line
    },
  )
  const events = await namespace.events()
  const found = places.map((place) => ({ place, pod: pods.get(place.name) ?? { metadata: { name: place.name } } }))
  return {
    running: found.flatMap(({ place: { name, node }, pod }) => {
      const addresses = podAddresses(pod)
      return pod.status?.phase === 'Running' && addresses.length > 0 ? [{ name, node, addresses }] : []
    }),
    rows: found.flatMap(({ place, pod }) => startRows(place, pod, troubleOf(pod, place.name, events))),
  }
}

/** Started, though its kubelet does not reach it, is another trouble than not started. */
function startRows({ node }: PodPlace, pod: PodObject, trouble: string): Row[] {
  const row = { from: `node ${node}`, node, to: `pod on ${node}`, toNode: node } as const
  const [address] = podAddresses(pod)
  if (pod.status?.phase !== 'Running' || address === undefined)
    return [{ ...row, check: 'pods of the test start', result: 'failed', words: trouble }]
  return [
    { ...row, check: 'pods of the test start', result: 'good', words: '' },
    ...(isReady(pod)
      ? []
      : [
          {
            ...row,
            check: 'node to pod on it',
            address,
            result: 'failed',
            words: `kubelet does not reach it: ${trouble}`,
          } as const,
        ]),
  ]
}

/** A pod for each place that has something to try, and what came of it. */
export async function runProbes(
  namespace: TestNamespace,
  image: string,
  planned: readonly Planned[],
  roleOf: (place: Place) => string,
  { signal, say }: Pace,
): Promise<Row[]> {
  const places = [...new Set(planned.map(({ place }) => place))]
  const of = (place: Place) => planned.filter((one) => one.place === place)
  for (const place of places) {
    const probes = of(place).map(({ probe }) => probe)
    const pod = { name: place.name, namespace: namespace.name, node: place.node, image }
    await namespace.createPod(probePod(pod, roleOf(place), probes, place.isNode))
  }
  const outcomes = new Map<Place, Outcome[]>()
  const done = new Set<Place>()
  let pods = new Map<string, PodObject>()
  // They are all started together, and the longest list keeps us.
  const probingMs = Math.max(0, ...places.map((place) => longestMs(of(place).map(({ probe }) => probe))))
  await polled(
    START_MS + probingMs,
    signal,
    async () => {
      pods = await namespace.pods()
      for (const place of places.filter((one) => !done.has(one))) {
        const pod = pods.get(place.name)
        const log = parseOutcomes(await namespace.log(place.name))
        outcomes.set(place, log.outcomes)
        if (log.isDone || (pod && isHopeless(pod))) done.add(place)
      }
      return done.size === places.length
    },
    (last) => {
      const count = [...outcomes.values()].reduce((sum, { length }) => sum + length, 0)
      const line = `tried: ${count} of ${planned.length}`
      if (line !== last) say(line)
      return line
    },
  )
  const events = done.size === places.length ? [] : await namespace.events()
  return places.flatMap((place) => {
    const silence = `nothing came of it: ${troubleOf(pods.get(place.name), place.name, events)}`
    return rowsOf(of(place), outcomes.get(place) ?? [], silence)
  })
}

/**
 * Asks again and again until it is settled, or too late; an API server that stumbles meanwhile is asked again.
 * @param tell what to remember for the next time
 */
async function polled(
  timeoutMs: number,
  signal: AbortSignal,
  isSettled: () => Promise<boolean>,
  tell: (last: string) => string,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs
  let last = ''
  for (;;) {
    const isOver = performance.now() > deadlineMs
    try {
      const settled = await isSettled()
      last = tell(last)
      if (settled || isOver) return
    } catch (error) {
      if (isOver || !(error instanceof UnreachableError)) throw error
    }
    await sleep(POLL_EVERY_MS, undefined, { signal })
  }
}
