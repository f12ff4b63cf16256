import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { type Agent, until } from '../agent.ts'
import { announce, inside, type LabNode, makeLans, N1, N2, plugIn, startNode } from '../cluster.ts'
import { PLUGIN } from '../plugin.ts'
import { enterScratchNode, makeNetns } from '../scratch.ts'
import { differences, type Expectation } from './differences.ts'
import { type Listener, listen } from './probe.ts'

const FOLDER = '/run/cluster'

/** Plain Kubernetes objects, as a person would write them. */
export interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [key: string]: unknown }
  readonly [key: string]: unknown
}

export interface PodSettings {
  readonly namespace: string
  readonly name: string
  readonly labels?: Readonly<Record<string, string>>
  readonly node?: LabNode
  readonly uid?: string
  /** One that makePodNetns made. */
  readonly netns?: string
  readonly ports?: readonly { readonly name: string; readonly containerPort: number; readonly protocol?: string }[]
}

export interface LabPod {
  /** `namespace/name` */
  readonly id: string
  readonly netns: string
  readonly node: LabNode
  /** IPv4 first. */
  readonly addresses: readonly string[]
}

export { N1, N2 } from '../cluster.ts'

/** Policies on real nodes, each with an agent that reads one folder of manifests: plugin, kernel, sockets. */
export class PolicyLab {
  readonly #nodes: readonly LabNode[]
  readonly #args: readonly string[]
  readonly agents: Agent[]
  readonly pods = new Map<string, LabPod>()
  #containers = 0
  readonly #policies = new Set<string>()
  readonly #listening: (() => Promise<void>)[] = []

  private constructor(nodes: readonly LabNode[], args: readonly string[], agents: Agent[]) {
    this.#nodes = nodes
    this.#args = args
    this.agents = agents
  }

  static async start(nodes: readonly LabNode[] = [N1, N2], ...args: string[]): Promise<PolicyLab> {
    await enterScratchNode()
    await makeLans()
    for (const node of nodes) {
      await plugIn(node)
      announce(node)
    }
    return new PolicyLab(nodes, args, await Promise.all(nodes.map((node) => startNode(node, ...args))))
  }

  /** As `kubectl apply`. */
  put(...objects: readonly Manifest[]): void {
    mkdirSync(FOLDER, { recursive: true })
    for (const object of objects) {
      const file = fileOf(object)
      writeFileSync(`${FOLDER}/.new`, JSON.stringify(object))
      renameSync(`${FOLDER}/.new`, file)
      if (object.kind.endsWith('NetworkPolicy')) this.#policies.add(file)
    }
  }

  /** As `kubectl delete`. */
  remove(...objects: readonly Pick<Manifest, 'kind' | 'metadata'>[]): void {
    for (const object of objects) {
      rmSync(fileOf(object))
      this.#policies.delete(fileOf(object))
    }
  }

  /** As scheduler, kubelet and container runtime do it together: the pod is known, it is wired, its addresses are told. */
  async addPod(settings: PodSettings): Promise<LabPod> {
    const { namespace, name, node = N1, uid } = settings
    const id = `${namespace}/${name}`
    this.put(podManifest(settings, node, []))
    const containerId = settings.netns ?? (await this.makePodNetns(namespace, [name]))[0] ?? ''
    const args = [`K8S_POD_NAMESPACE=${namespace}`, `K8S_POD_NAME=${name}`, ...(uid ? [`K8S_POD_UID=${uid}`] : [])]
    const output = await this.call('ADD', node, containerId, args.join(';'))
    const result = JSON.parse(output) as { ips: { address: string }[] }
    const addresses = result.ips.map(({ address }) => address.replace(/\/\d+$/, ''))
    const pod = { id, netns: containerId, node, addresses }
    this.pods.set(id, pod)
    this.put(podManifest(settings, node, addresses))
    return pod
  }

  /** What a runtime makes first. Their names are the container ids. */
  async makePodNetns(namespace: string, names: readonly string[]): Promise<string[]> {
    const netns = names.map((name) => `${namespace}-${name}-${++this.#containers}`)
    for (const name of netns) await makeNetns(name)
    return netns
  }

  /** All of a namespace, as a runtime does it; and they are gone from the cluster. */
  async deletePods(namespace: string): Promise<void> {
    const pods = Array.from(this.pods.values()).filter(({ id }) => id.startsWith(`${namespace}/`))
    await Promise.all(pods.map((pod) => this.deletePod(pod)))
  }

  async deletePod({ id, netns, node }: LabPod): Promise<void> {
    await this.call('DEL', node, netns)
    this.pods.delete(id)
    const [namespace = '', name = ''] = id.split('/')
    this.remove({ kind: 'Pod', metadata: { namespace, name } })
  }

  removeAllPolicies(): void {
    for (const file of this.#policies) rmSync(file)
    this.#policies.clear()
  }

  /** When all agents know of all policies. */
  async settled(): Promise<void> {
    for (const agent of this.agents)
      await until('the policies are known', async () => (await agent.ask('status')).policies === this.#policies.size)
  }

  async call(command: 'ADD' | 'DEL', node: LabNode, containerId: string, args = ''): Promise<string> {
    const { exitCode, stdout } = await inside(
      node.name,
      ...['env', `BRAMBLE_SOCKET=/run/bramble-${node.name}/agent.sock`, `CNI_COMMAND=${command}`],
      ...[`CNI_CONTAINERID=${containerId}`, `CNI_NETNS=/run/netns/${containerId}`, 'CNI_IFNAME=eth0'],
      ...[`CNI_ARGS=${args}`, PLUGIN],
    )
    if (exitCode !== 0) throw new Error(`${command} of ${containerId}: ${stdout}`)
    return stdout
  }

  /** All pods that there are listen, until the lab stops. */
  async listen(ports: readonly Omit<Listener, 'netns'>[]): Promise<void> {
    const listeners = [...this.pods.values()].flatMap(({ netns }) => ports.map((port) => ({ ...port, netns })))
    this.#listening.push(await listen(listeners))
  }

  /** @returns what is not as expected, in words; empty when all came to be */
  differences(expectations: readonly Expectation[], timeoutMs?: number): Promise<string[]> {
    return differences(expectations, timeoutMs)
  }

  /** The agent of a node ends, and the next one starts. */
  async restart(node: LabNode, signal: NodeJS.Signals): Promise<void> {
    await this.end(node, signal)
    await this.begin(node)
  }

  async end(node: LabNode, signal: NodeJS.Signals): Promise<void> {
    await this.agents[this.#nodes.indexOf(node)]?.stop(signal)
  }

  async begin(node: LabNode): Promise<void> {
    this.agents[this.#nodes.indexOf(node)] = await startNode(node, ...this.#args)
  }

  async stop(): Promise<void> {
    await Promise.all([...this.agents.map((agent) => agent.stop()), ...this.#listening.map((end) => end())])
  }
}

function fileOf({ kind, metadata: { namespace, name } }: Pick<Manifest, 'kind' | 'metadata'>): string {
  return `${FOLDER}/${[kind.toLowerCase(), namespace, name].filter(Boolean).join('_')}.json`
}

function podManifest(
  { namespace, name, labels = {}, uid, ports = [] }: PodSettings,
  node: LabNode,
  addresses: readonly string[],
): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, labels, ...(uid && { uid }) },
    spec: { nodeName: node.name, containers: [{ name: 'main', image: 'none', ports }] },
    status: { phase: addresses.length > 0 ? 'Running' : 'Pending', podIPs: addresses.map((ip) => ({ ip })) },
  }
}
