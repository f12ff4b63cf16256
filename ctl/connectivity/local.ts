import { randomBytes } from 'node:crypto'
import type { MtuReport } from '../../agent/api/mtu-report.ts'
import { familyOf } from '../../ipam/address.ts'
import { ask } from '../ask.ts'
import { attempt } from './attempts.ts'
import { LocalPod } from './local-pod.ts'
import { type Check, type Place, plan, type Target } from './plan.ts'
import type { Outcome } from './probe.ts'
import { reach } from './reach.ts'
import { type Report, type Row, rowsOf, withoutTheOffline } from './rows.ts'

export interface LocalSettings {
  readonly socket: string
  readonly plugin: string
  readonly outside: readonly Target[]
  /** One line each. */
  readonly say: (text: string) => void
  readonly signal: AbortSignal
}

/**
 * Two throwaway pods on this node, by the plugin: what they reach, and what of them is left afterwards.
 * @throws AskError where the agent is away; LocalPodError; AbortError when the signal says so, and nothing is left then
 */
export async function testLocally(settings: LocalSettings): Promise<Report> {
  const { socket, plugin, say, signal } = settings
  const { nodeName } = await ask(socket, 'status')
  const run = `bramble-test-${randomBytes(3).toString('hex')}`
  const pods: LocalPod[] = []
  try {
    for (const name of ['a', 'b']) pods.push(await LocalPod.start(`${run}-${name}`, plugin, socket))
    const wired = await rowOf(nodeName, 'plugin: ADD, CHECK, DEL', async () => {
      say(`two pods on ${nodeName}: ${pods.map(({ name }) => name).join(', ')}`)
      await Promise.all(pods.map((pod) => pod.add()))
      await Promise.all(pods.map((pod) => pod.check()))
      return pods.map(({ addresses }) => addresses.join(' ')).join(', ')
    })
    signal.throwIfAborted()
    const rows = wired.result === 'good' ? await tried(nodeName, pods, settings) : []
    say('taking them away')
    const gone = await rowOf(nodeName, 'nothing is left behind', () => removed(pods, socket))
    return { rows: withoutTheOffline([wired, ...rows, gone]), agentPods: new Map() }
  } finally {
    await Promise.allSettled(pods.map((pod) => pod.del()))
    for (const pod of pods) pod.end()
  }
}

async function tried(nodeName: string, pods: readonly LocalPod[], settings: LocalSettings): Promise<Row[]> {
  const { socket, outside, say, signal } = settings
  const [a, b] = pods
  if (!a || !b) return []
  const place = { name: a.name, node: nodeName, isNode: false, ...(a.mtuBytes && { mtuBytes: a.mtuBytes }) }
  const node: Place = { name: nodeName, node: nodeName, isNode: true }
  const planned = plan({
    servers: [{ name: b.name, node: nodeName, addresses: b.addresses }],
    places: [place, node],
    nodes: await nodesFrom(socket, nodeName),
    hasNames: false,
    outside,
  })
  const probesOf = (from: Place) => planned.filter((one) => one.place === from).map(({ probe }) => probe)
  say(`${planned.length} things are tried`)
  const outcomes: Outcome[] = []
  const done = Promise.all([
    a.probe(probesOf(place)).then((some) => outcomes.push(...some)),
    attempt(probesOf(node), reach, (outcome) => outcomes.push(outcome)),
  ])
  await Promise.race([done, aborted(signal)])
  say('packets of full size to every other node')
  const paths = await Promise.race([ask(socket, 'mtu probe'), aborted(signal)])
  return [...rowsOf(planned, outcomes), ...pathRows(nodeName, paths)]
}

/** This node and the others, by the addresses that they have for each other. */
async function nodesFrom(socket: string, nodeName: string) {
  const [manifest, others] = await Promise.all([ask(socket, 'node manifest'), ask(socket, 'nodes')])
  const own = manifest.status.addresses.map(({ address }) => address)
  return [{ name: nodeName, addresses: own }, ...others.map(({ node, addresses }) => ({ name: node, addresses }))]
}

/** What the agent measured. Pure. */
function pathRows(nodeName: string, { peers }: MtuReport): Row[] {
  return peers.map(({ node, way, address, neededBytes, measuredBytes, problem }) => {
    const isGood = measuredBytes !== undefined && measuredBytes >= neededBytes
    const measured = measuredBytes === undefined ? [] : [`${measuredBytes} of ${neededBytes} bytes by ${way}`]
    return {
      check: 'node to another node: full size',
      from: `node ${nodeName}`,
      node: nodeName,
      to: `node ${node}`,
      toNode: node,
      address,
      family: familyOf(address),
      result: isGood ? 'good' : 'failed',
      words: [...measured, ...(problem && !isGood ? [problem] : [])].join('; '),
    }
  })
}

/** @throws Error that names what is still there */
async function removed(pods: readonly LocalPod[], socket: string): Promise<string> {
  await Promise.all(pods.map((pod) => pod.del()))
  const names = pods.map(({ name }) => name)
  const left = (await ask(socket, 'pods')).filter(({ containerId }) => names.includes(containerId))
  if (left.length > 0) throw new Error(`the agent still has ${left.map(({ containerId }) => containerId).join(', ')}`)
  return ''
}

async function rowOf(node: string, check: Check, work: () => Promise<string>): Promise<Row> {
  const row = { check, from: `node ${node}`, node, to: 'the plugin' }
  try {
    return { ...row, result: 'good', words: await work() }
  } catch (error) {
    return { ...row, result: 'failed', words: (error as Error).message }
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const stop = () => reject(signal.reason)
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
}
