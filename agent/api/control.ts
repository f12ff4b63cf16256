import type { Answer } from '../../plugin/frame.ts'
import type { NodeNetwork } from '../nodes/network.ts'
import type { Options } from '../options.ts'
import { hostLinkName } from '../ownership.ts'
import { audit } from '../pods/audit.ts'
import type { PodNetwork } from '../pods/network.ts'
import type { Turns } from '../pods/turns.ts'

/** What bramblectl may ask, and what it gets. */
export interface ControlAnswers {
  status: Status
  pods: PodRow[]
  ipam: IpamRow[]
  /** Every difference between leases and kernel; empty is good. */
  'ipam check': string[]
}

export type ControlCall = keyof ControlAnswers

export interface Status {
  readonly version: string
  readonly nodeName: string
  readonly pid: number
  readonly uptimeSeconds: number
  readonly datastore: string
  readonly podCidrs: readonly string[]
  readonly mtuBytes: number
  readonly pods: number
  /** Other nodes that are known. */
  readonly peers: number
  /** Container calls that run or wait at this moment. */
  readonly callsUnderWay: number
  readonly linksToDelete: number
  readonly memoryRssBytes: number
  readonly problems: readonly string[]
}

export interface PodRow {
  readonly pod: string
  readonly ifname: string
  readonly addresses: readonly string[]
  readonly link: string
  readonly containerId: string
  readonly network: string
}

export interface IpamRow {
  readonly cidr: string
  readonly capacity: number
  readonly used: number
  readonly cooling: number
  readonly free: number
}

export async function answerControl(
  network: PodNetwork,
  nodes: NodeNetwork,
  turns: Turns,
  options: Options,
  version: string,
  body: Buffer,
): Promise<Answer> {
  const answers: { [Call in ControlCall]: () => Promise<ControlAnswers[Call]> | ControlAnswers[Call] } = {
    status: () => status(network, nodes, turns, options, version),
    pods: () => pods(network),
    ipam: () => network.leases.use(),
    'ipam check': () => audit(network),
  }
  const call = body.toString('utf8')
  if (!Object.hasOwn(answers, call))
    return failure(
      `this agent (${version}) does not know "${call.slice(0, 40)}"; are agent and bramblectl of one version?`,
    )
  try {
    return { exitCode: 0, body: Buffer.from(JSON.stringify(await answers[call as ControlCall]())) }
  } catch (error) {
    network.log.error({ err: error, call }, 'control call failed')
    return failure((error as Error).message)
  }
}

async function status(
  network: PodNetwork,
  nodes: NodeNetwork,
  turns: Turns,
  options: Options,
  version: string,
): Promise<Status> {
  const full = network.leases.pools.filter((pool) => pool.isExhausted)
  return {
    version,
    nodeName: options.nodeName,
    pid: process.pid,
    uptimeSeconds: Math.round(process.uptime()),
    datastore: options.datastore,
    podCidrs: network.leases.pools.map(({ cidr }) => cidr.text),
    mtuBytes: await network.mtuBytes(),
    pods: network.leases.list().length,
    peers: nodes.peers,
    callsUnderWay: turns.busy,
    linksToDelete: network.condemned.count,
    memoryRssBytes: process.memoryUsage.rss(),
    problems: [
      ...full.map(({ cidr, capacity }) => `no address is free in ${cidr.text}: all ${capacity} are held`),
      ...nodes.problems,
    ],
  }
}

function pods(network: PodNetwork): PodRow[] {
  return network.leases.list().map(({ pod, ifname, addresses, containerId, network: name }) => ({
    pod,
    ifname,
    addresses,
    link: hostLinkName(containerId, ifname),
    containerId,
    network: name,
  }))
}

function failure(message: string): Answer {
  return { exitCode: 1, body: Buffer.from(JSON.stringify({ error: message })) }
}
