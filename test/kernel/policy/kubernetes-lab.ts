import { writeFileSync } from 'node:fs'
import { ApiDouble } from '../../agent/cluster/kubernetes/api-double.ts'
import type { StoredObject } from '../../agent/cluster/kubernetes/api-objects.ts'
import { CLUSTER_POLICIES } from '../../agent/cluster/kubernetes/cluster-policy-crd.ts'
import { kubeconfigText } from '../../agent/cluster/kubernetes/kubeconfig-text.ts'
import { type Agent, until } from '../agent.ts'
import { inside, type LabNode, lanAddress, makeLans, plugIn, spawnMember } from '../cluster.ts'
import { PLUGIN } from '../plugin.ts'
import { capture, enterScratchNode, makeNetns, type Output } from '../scratch.ts'
import { listen } from './probe.ts'

const NODE: LabNode = { name: 'n1', number: 1, lan: 'a' }
const API = { host: '192.168.1.254', port: 6443 }
const PORTS = [
  { protocol: 'tcp', port: 80 },
  { protocol: 'udp', port: 80 },
] as const

export const RESOURCES = {
  nodes: '/api/v1/nodes',
  pods: '/api/v1/pods',
  namespaces: '/api/v1/namespaces',
  policies: '/apis/networking.k8s.io/v1/networkpolicies',
  clusterPolicies: CLUSTER_POLICIES,
} as const

export interface Container {
  /** That of its network namespace, and its id. */
  readonly netns: string
  readonly addresses: readonly string[]
}

/** Policies from an API server: a node n1 with a real agent, its plugin, kernel and sockets; the server is the router. */
export class KubernetesLab {
  readonly api: ApiDouble
  agent: Agent
  #containers = 0
  readonly #listening: (() => Promise<void>)[] = []

  private constructor(api: ApiDouble, agent: Agent) {
    this.api = api
    this.agent = agent
  }

  static async start(...args: string[]): Promise<KubernetesLab> {
    await enterScratchNode()
    await makeLans()
    await plugIn(NODE)
    const api = await ApiDouble.start(API)
    const cluster = { server: `http://${API.host}:${API.port}` }
    writeFileSync('/run/kubeconfig', kubeconfigText(cluster))
    api.objects.put(RESOURCES.nodes, {
      metadata: { name: NODE.name },
      spec: { podCIDRs: ['10.42.1.0/24', 'fd42:0:0:1::/64'] },
      status: { addresses: [{ type: 'InternalIP', address: lanAddress(NODE) }] },
    })
    const agent = spawn(args)
    await agent.ready()
    return new KubernetesLab(api, agent)
  }

  /** The agent ends, and the next one starts. */
  async restart(signal: NodeJS.Signals, ...args: string[]): Promise<void> {
    await this.agent.stop(signal)
    await this.begin(...args)
  }

  async begin(...args: string[]): Promise<void> {
    this.agent = spawn(args)
    await this.agent.ready()
  }

  async stop(): Promise<void> {
    await this.agent.stop()
    await Promise.all(this.#listening.map((end) => end()))
    await this.api.close()
  }

  /** What is under way breaks, and nobody answers until `isBack`. */
  goAway(): void {
    this.api.fault = () => ({ kind: 'reset' })
    this.api.disconnect()
  }

  comeBack(): void {
    this.api.fault = () => undefined
  }

  /** As kubectl does it; the status, too, where there are addresses. @returns its uid */
  putPod(key: string, labels: Readonly<Record<string, string>> = {}, more: PodMore = {}): string {
    const { addresses = [], annotations, uid } = more
    const [namespace = '', name = ''] = key.split('/')
    return this.api.objects.put(RESOURCES.pods, {
      metadata: { namespace, name, labels, ...(uid && { uid }), ...(annotations && { annotations }) },
      spec: { nodeName: NODE.name, containers: [{ name: 'main', image: 'none' }] },
      status: { phase: addresses.length > 0 ? 'Running' : 'Pending', podIPs: addresses.map((ip) => ({ ip })) },
    }).metadata.uid
  }

  deletePod(key: string): void {
    this.api.objects.delete(RESOURCES.pods, key)
  }

  putNamespace(name: string, labels: Readonly<Record<string, string>> = {}): void {
    this.api.objects.put(RESOURCES.namespaces, { metadata: { name, labels } })
  }

  putPolicy(key: string, spec: object): StoredObject {
    const [namespace = '', name = ''] = key.split('/')
    return this.api.objects.put(RESOURCES.policies, { metadata: { namespace, name }, spec })
  }

  deletePolicy(key: string): void {
    this.api.objects.delete(RESOURCES.policies, key)
  }

  /** A network namespace whose name is the container's id; as a rule it listens until the lab stops. */
  async makeContainer({ isListening = true } = {}): Promise<string> {
    const netns = `c${++this.#containers}`
    await makeNetns(netns)
    if (isListening) this.#listening.push(await listen(PORTS.map((port) => ({ ...port, netns }))))
    return netns
  }

  /** As a runtime does it for kubelet. @throws Error with the plugin's words */
  async wire(key: string, uid: string, settings: { readonly isListening?: boolean } = {}): Promise<Container> {
    const netns = await this.makeContainer(settings)
    const { exitCode, stdout } = await this.call('ADD', netns, key, uid)
    if (exitCode !== 0) throw new Error(`ADD of ${key}: ${stdout}`)
    const { ips } = JSON.parse(stdout) as { ips: { address: string }[] }
    return { netns, addresses: ips.map(({ address }) => address.replace(/\/\d+$/, '')) }
  }

  /** All of it: the pod is known, it is wired, and kubelet tells its addresses. */
  async addPod(
    key: string,
    labels: Readonly<Record<string, string>> = {},
    settings: { readonly isListening?: boolean } = {},
  ): Promise<Container> {
    const container = await this.wire(key, this.putPod(key, labels), settings)
    this.putPod(key, labels, container)
    return container
  }

  call(command: 'ADD' | 'DEL', netns: string, key = '', uid = ''): Promise<Output> {
    const [namespace, name] = key.split('/')
    const args = `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name};K8S_POD_UID=${uid}`
    return inside(
      NODE.name,
      ...['env', 'BRAMBLE_SOCKET=/run/bramble-n1/agent.sock', `CNI_COMMAND=${command}`, `CNI_CONTAINERID=${netns}`],
      ...[`CNI_NETNS=/run/netns/${netns}`, 'CNI_IFNAME=eth0', ...(key ? [`CNI_ARGS=${args}`] : []), PLUGIN],
    )
  }

  /** How often single pods were asked for, by name. */
  asked(): string[] {
    return this.api.requests
      .filter(({ verb, resource }) => verb === 'get' && resource === RESOURCES.pods)
      .map(({ path }) => path.split('/').at(-1) ?? '')
  }

  async problems(): Promise<string> {
    return (await this.agent.ask('status')).problems.join('\n')
  }

  /** Waits until `status` says it, or says it no more. */
  async told(words: RegExp, isTold = true): Promise<void> {
    await until(`status: ${words} ${isTold}`, async () => words.test(await this.problems()) === isTold)
  }

  /** The rules, as `nft` lists them with all elements. */
  async rules(): Promise<string> {
    return (await capture('ip', ['netns', 'exec', NODE.name, 'nft', 'list', 'table', 'inet', 'bramble-policy'])).stdout
  }
}

interface PodMore {
  /** Of a new one. */
  readonly uid?: string
  readonly addresses?: readonly string[]
  readonly annotations?: Readonly<Record<string, string>>
}

function spawn(args: readonly string[]): Agent {
  return spawnMember(NODE, '--datastore=kubernetes', '--kubeconfig=/run/kubeconfig', ...args)
}
