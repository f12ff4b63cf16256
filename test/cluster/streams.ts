import { setTimeout as sleep } from 'node:timers/promises'
import { ask, type TrialPod } from './pods.ts'

const DATAGRAMS_PER_S = 1_000
/** What is on its way when the last one is sent. */
const ARRIVE_MS = 1_000

/** Numbered datagrams from one pod to another. */
interface Stream {
  readonly name: string
  readonly from: TrialPod
  readonly to: TrialPod
  readonly address: string
}

export interface Arrived {
  readonly sent: number
  /** On the way. */
  readonly lost: number
  /** Came to the pod, whose program was not given the processor in time to take them. */
  readonly tooLate: number
}

/** What becomes of datagrams between pods of one node and of two, in each family that there is, while something goes on. */
export async function streamsDuring(pods: readonly TrialPod[], work: () => Promise<unknown>): Promise<Arrived> {
  const streams = pairs(pods)
  const missed = async () => sum(await Promise.all(pods.map((pod) => ask<number>(pod, '/missed'))))
  const before = await missed()
  for (const { name, from, address } of streams)
    await ask(from, `/tick?to=${address}&stream=${name}&perSecond=${DATAGRAMS_PER_S}`)
  await work()
  const sent = await Promise.all(streams.map(({ name, from }) => ask<{ sent: number }>(from, `/stop?stream=${name}`)))
  await sleep(ARRIVE_MS)
  const came = await Promise.all(streams.map(({ name, to }) => ask<number>(to, `/counted?stream=${name}`)))
  const total = sum(sent.map((stream) => stream.sent))
  const tooLate = (await missed()) - before
  return { sent: total, lost: total - sum(came) - tooLate, tooLate }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

/** Every pod sends to the next one, the last of a node to the first of the next node. */
function pairs(pods: readonly TrialPod[]): Stream[] {
  const sorted = pods.toSorted((a, b) => a.node.localeCompare(b.node))
  const run = Math.random().toString(36).slice(2)
  return sorted.flatMap((from, place) => {
    const to = sorted[(place + 1) % sorted.length]
    return to ? to.addresses.map((address) => ({ name: `${run}-${place}-${address}`, from, to, address })) : []
  })
}
