import type { HostPort } from '../../ipam/host-port.ts'
import type { Answer } from '../../plugin/frame.ts'
import type { NodeRegistry, RegisteredNode } from '../cluster/view.ts'
import type { NodeNetwork } from '../nodes/network.ts'
import { hostLinkName } from '../ownership.ts'
import { audit } from '../pods/audit.ts'
import type { PodNetwork } from '../pods/network.ts'
import type { Agent } from './agent.ts'
import { type NodeManifest, nodeManifest } from './manifest.ts'
import { mtuReport, probedMtuReport } from './mtu.ts'
import type { MtuReport } from './mtu-report.ts'
import { policyAnswers } from './policy.ts'
import type { PolicyAnswers } from './policy-answers.ts'
import { EndError } from './policy-ends.ts'
import { type Status, status } from './status.ts'
import { type NodeStatusRow, statusOfAll } from './status-all.ts'

export type { Agent, NodeStatusRow, Status }

/** What bramblectl may ask, and what it gets. */
export interface ControlAnswers extends PolicyAnswers {
  status: Status
  /** Of every node, as far as their agents have told the API server. */
  'status all': NodeStatusRow[]
  pods: PodRow[]
  ipam: IpamRow[]
  /** Every difference between leases and kernel; empty is good. */
  'ipam check': string[]
  nodes: NodeRow[]
  /** For the folder of manifests, where no agent announces itself. */
  'node manifest': NodeManifest
  /** All that have pod CIDRs from Redis, whether they live or not. */
  'node list': RegisteredNode[]
  /** NAME, and FORCE=1 for one that lives. */
  'node remove': { readonly node: string; readonly podCidrs: readonly string[] }
  mtu: MtuReport
  /** Sends packets to every other node; takes seconds. */
  'mtu probe': MtuReport
}

export type ControlCall = keyof ControlAnswers

export interface PodRow {
  readonly pod: string
  readonly ifname: string
  readonly addresses: readonly string[]
  readonly link: string
  readonly containerId: string
  readonly network: string
  /** Ports of the node that lead to the pod; absent where there are none. */
  readonly hostPorts?: readonly HostPort[]
}

export interface IpamRow {
  readonly cidr: string
  readonly capacity: number
  readonly used: number
  readonly cooling: number
  readonly free: number
}

/** Another node, and how its pods are reached from here. */
export interface NodeRow {
  readonly node: string
  readonly podCidrs: readonly string[]
  /** `direct`, `vxlan`, `none` */
  readonly ways: readonly string[]
  /** Where its packets are sent. */
  readonly addresses: readonly string[]
  readonly problems: readonly string[]
}

/**
 * @param body the call; in the lines behind it what is sent along
 * @param words beside the call: NAME and the like
 */
export async function answerControl(
  agent: Agent,
  body: Buffer,
  words: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const { network, nodes, options, version } = agent
  const [, call = '', sent = ''] = /^([^\n]*)\n?(.*)$/s.exec(body.toString('utf8')) ?? []
  const answers: { [Call in ControlCall]: () => Promise<ControlAnswers[Call]> | ControlAnswers[Call] } = {
    status: () => status(agent),
    'status all': () => statusOfAll(agent),
    pods: () => pods(network),
    ipam: () => network.leases.use(),
    'ipam check': () => audit(network),
    nodes: () => nodeRows(nodes),
    'node manifest': () => nodeManifest(network, nodes, options),
    'node list': () => registry(agent).listNodes(),
    'node remove': async () => {
      const { NAME: node = '', FORCE } = words
      return { node, podCidrs: await registry(agent).removeNode(node, { isForced: FORCE === '1' }) }
    },
    mtu: () => mtu(agent),
    'mtu probe': async () => probedMtuReport(await mtu(agent), await agent.uplinkMtu.bytes()),
    ...policyAnswers(agent.policies, words, sent),
  }
  if (!Object.hasOwn(answers, call))
    return failure(
      `this agent (${version}) does not know "${call.slice(0, 40)}"; are agent and bramblectl of one version?`,
    )
  try {
    return { exitCode: 0, body: Buffer.from(JSON.stringify(await answers[call as ControlCall]())) }
  } catch (error) {
    if (!(error instanceof EndError)) network.log.error({ err: error, call }, 'control call failed')
    return failure((error as Error).message)
  }
}

function registry({ source, options }: Agent): NodeRegistry {
  if (source.registry) return source.registry
  throw new Error(
    options.datastore === 'kubernetes'
      ? 'nodes come and go with the API server: kubectl get nodes, kubectl delete node NAME'
      : 'nodes come and go with the manifests in the folder of --cluster-dir',
  )
}

async function mtu({ network, nodes, uplinkMtu, options }: Agent): Promise<MtuReport> {
  return mtuReport(nodes, await network.mtuBytes(), options.mtuBytes, await uplinkMtu.uplinks())
}

function nodeRows({ desired, view }: NodeNetwork): NodeRow[] {
  return [...(desired?.peers ?? [])].map(([node, { ways, problems }]) => ({
    node,
    podCidrs: view.nodes.get(node)?.podCidrs.map(({ text }) => text) ?? [],
    ways: [...new Set(ways.map(({ kind }) => kind))],
    addresses: [
      ...new Set(ways.flatMap((way) => (way.kind === 'none' ? [] : way.kind === 'direct' ? way.address : way.remote))),
    ],
    problems,
  }))
}

function pods(network: PodNetwork): PodRow[] {
  return network.leases.list().map(({ pod, ifname, addresses, containerId, network: name, hostPorts = [] }) => ({
    pod,
    ifname,
    addresses,
    link: hostLinkName(containerId, ifname),
    containerId,
    network: name,
    ...(hostPorts.length > 0 && { hostPorts }),
  }))
}

function failure(message: string): Answer {
  return { exitCode: 1, body: Buffer.from(JSON.stringify({ error: message })) }
}
