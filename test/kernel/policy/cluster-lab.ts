import { keyOf, type RawObject } from '../../agent/policy/clusters.ts'
import type { Probe as Service } from '../../agent/policy/matrix.ts'
import { isSomebody } from '../../agent/policy/oracle-identities.ts'
import type { RawNode, RawPod } from '../../agent/policy/oracle-objects.ts'
import { until } from '../agent.ts'
import { inside, type LabNode, lanAddress, withdraw } from '../cluster.ts'
import { type LabPod, type Manifest, PolicyLab } from './lab.ts'
import { type Listener, listen } from './probe.ts'

/** Of this namespace each node has a pod: a policy about them tells how far the agents are. */
const MARKER = 'marker'

/** Real nodes that become whatever cluster is wanted, again and again: its pods are wired where they belong, and listen. */
export class ClusterLab {
  readonly lab: PolicyLab
  readonly services: readonly Service[]
  readonly #nodes: readonly LabNode[]
  readonly #nodeOf: (pod: RawPod) => LabNode
  /** Those whose manifests are the lab's own. */
  readonly #announced: Map<string, LabNode>
  /** What there is, by keyOf. */
  #objects: ReadonlyMap<string, RawObject> = new Map()
  #round = 0
  readonly #listening: (() => Promise<void>)[] = []

  private constructor(
    lab: PolicyLab,
    nodes: readonly LabNode[],
    services: readonly Service[],
    nodeOf: (pod: RawPod) => LabNode,
  ) {
    this.lab = lab
    this.services = services
    this.#nodes = nodes
    this.#announced = new Map(nodes.map((node) => [node.name, node]))
    this.#nodeOf = nodeOf
  }

  /** @param services what every pod has */
  static async start(
    nodes: readonly LabNode[],
    services: readonly Service[],
    nodeOf: (pod: RawPod) => LabNode,
  ): Promise<ClusterLab> {
    const lab = await PolicyLab.start(nodes)
    for (const { name } of nodes) await inside(name, 'sysctl', '-qw', ...FORGETFUL)
    for (const node of nodes) await lab.addPod({ namespace: MARKER, name: node.name, node })
    return new ClusterLab(lab, nodes, services, nodeOf)
  }

  /**
   * The nodes hear of it; `settled` waits for them.
   * @returns the objects as they are told: with nodes, until they say of them themselves; pods with the addresses that they have
   */
  async become(objects: readonly RawObject[]): Promise<RawObject[]> {
    const wanted = new Map(objects.map((one) => [keyOf(one), one]))
    const gone = [...this.#objects.values()].filter((one) => !isContinued(one, wanted.get(keyOf(one))))
    await Promise.all(gone.map((one) => this.#remove(one)))
    const changed = objects.filter((one) => this.#objects.get(keyOf(one)) !== one)
    const made = await Promise.all(changed.map((one) => this.#put(one)))
    await this.listenIn(...made.flatMap((pod) => pod?.netns ?? []))
    this.#objects = wanted
    return [...Array.from(this.#announced.values(), nodeObject), ...objects.map((one) => this.#placed(one))]
  }

  /**
   * When it returns, all is in the kernels of all nodes: an agent reads all that it finds, and writes it in one transaction,
   * and the marker comes last.
   */
  async settled(): Promise<void> {
    const metadata = { namespace: MARKER, name: `round-${++this.#round}` }
    const marker = { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata, spec: { podSelector: {} } }
    this.lab.put(marker)
    for (const { name } of this.#nodes)
      await until(`${metadata.name} is in the kernel of ${name}`, async () => {
        const { stdout } = await inside(name, 'nft', '-t', 'list', 'table', 'inet', 'bramble-policy')
        return stdout.includes(`${MARKER}/${metadata.name} `)
      })
    this.lab.remove(marker)
  }

  /** @param key `namespace/name` */
  pod(key: string): LabPod {
    const pod = this.lab.pods.get(key)
    if (!pod) throw new Error(`there is no pod ${key}`)
    return pod
  }

  /** All services, in network namespaces that are no pods' as well. */
  async listenIn(...netns: readonly string[]): Promise<void> {
    const listeners = netns.flatMap((netns) =>
      this.services.map(({ protocol, port }) => ({ netns, protocol: lower(protocol), port })),
    )
    if (listeners.length > 0) this.#listening.push(await listen(listeners))
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#listening.map((end) => end()), this.lab.stop()])
  }

  async #remove(one: RawObject): Promise<void> {
    const pod = one.kind === 'Pod' && this.lab.pods.get(idOf(one))
    if (pod) await this.lab.deletePod(pod)
    else this.lab.remove(manifestOf(one))
  }

  /** @returns the pod that was made, if one was */
  async #put(one: RawObject): Promise<LabPod | undefined> {
    const isNew = one.kind === 'Pod' && isSomebody(one) && !this.lab.pods.has(idOf(one))
    const { namespace = '', name, uid = '', labels = {} } = one.metadata
    const made = isNew ? await this.lab.addPod({ namespace, name, uid, labels, node: this.#nodeOf(one) }) : undefined
    this.lab.put(manifestOf(this.#placed(one)))
    const node = one.kind === 'Node' && this.#announced.get(one.metadata.name)
    if (node && this.#announced.delete(node.name)) withdraw(node)
    return made
  }

  /** A pod that is said to have one family is still told so. */
  #placed(one: RawObject): RawObject {
    const pod = one.kind === 'Pod' && this.lab.pods.get(idOf(one))
    if (!pod) return one
    const { phase = 'Running', podIPs } = one.status ?? {}
    const isTold = (address: string) => podIPs?.some(({ ip }) => ip.includes(':') === address.includes(':')) ?? true
    const status = { phase, podIPs: pod.addresses.filter(isTold).map((ip) => ({ ip })) }
    return { ...one, spec: { ...one.spec, nodeName: pod.node.name }, status }
  }
}

/** A port that was used a moment ago is one of a new connection: hundreds are used each second. */
const FORGETFUL = ['udp_timeout', 'udp_timeout_stream', 'tcp_timeout_time_wait'].map(
  (name) => `net.netfilter.nf_conntrack_${name}=1`,
)

export const lower = (protocol: Service['protocol']) => protocol.toLowerCase() as Listener['protocol']

const idOf = ({ metadata }: RawObject) => `${metadata.namespace}/${metadata.name}`

const manifestOf = (object: RawObject): Manifest => ({ ...object, metadata: { ...object.metadata } })

/** A pod with another uid is another pod. */
function isContinued(before: RawObject, now: RawObject | undefined): boolean {
  return now !== undefined && before.metadata.uid === now.metadata.uid
}

/** As the lab announces it. */
function nodeObject(node: LabNode): RawNode {
  const { name, number } = node
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    spec: { podCIDRs: [`10.42.${number}.0/24`, `fd42:0:0:${number}::/64`] },
    status: { addresses: [{ type: 'InternalIP', address: lanAddress(node) }] },
  }
}
