import { keyOf, type RawObject } from '../../agent/policy/clusters.ts'
import { placed, type Probe as Service } from '../../agent/policy/matrix.ts'
import type { RawNode, RawPod } from '../../agent/policy/oracle-objects.ts'
import { until } from '../agent.ts'
import { inside, type LabNode, lanAddress } from '../cluster.ts'
import { type LabPod, type Manifest, PolicyLab } from './lab.ts'
import { type Listener, listen } from './probe.ts'

/** Of this namespace each node has a pod: a policy about them tells how far the agents are. */
const MARKER = 'marker'

/** Real nodes that become whatever cluster is wanted, again and again: its pods are wired where they belong, and listen. */
export class MatrixLab {
  readonly lab: PolicyLab
  readonly nodes: readonly LabNode[]
  readonly services: readonly Service[]
  readonly #nodeOf: (pod: RawPod) => LabNode
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
    this.nodes = nodes
    this.services = services
    this.#nodeOf = nodeOf
  }

  /** @param services what every pod has */
  static async start(
    nodes: readonly LabNode[],
    services: readonly Service[],
    nodeOf: (pod: RawPod) => LabNode,
  ): Promise<MatrixLab> {
    const lab = await PolicyLab.start(nodes)
    for (const node of nodes) await lab.addPod({ namespace: MARKER, name: node.name, node })
    return new MatrixLab(lab, nodes, services, nodeOf)
  }

  /** The nodes hear of it, and `settled` waits for them. @returns the objects as they are told: nodes, and pods in their places */
  async become(objects: readonly RawObject[]): Promise<RawObject[]> {
    const wanted = new Map(objects.map((one) => [keyOf(one), one]))
    const before = [...this.#objects.values()]
    await Promise.all(before.filter((one) => !isContinued(one, wanted.get(keyOf(one)))).map((one) => this.#remove(one)))
    const changed = objects.filter((one) => this.#objects.get(keyOf(one)) !== one)
    await Promise.all(changed.map((one) => this.#put(one)))
    this.#objects = wanted
    return [...this.nodes.map(nodeObject), ...objects.map((one) => this.#placed(one))]
  }

  /** @param key `namespace/name` */
  pod(key: string): LabPod {
    const pod = this.lab.pods.get(key)
    if (!pod) throw new Error(`there is no pod ${key}`)
    return pod
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#listening.map((end) => end()), this.lab.stop()])
  }

  async #remove(one: RawObject): Promise<void> {
    if (one.kind === 'Pod') await this.lab.deletePod(this.pod(idOf(one)))
    else this.lab.remove(manifestOf(one))
  }

  async #put(one: RawObject): Promise<void> {
    if (one.kind === 'Pod' && !this.lab.pods.has(idOf(one))) {
      const { namespace = '', name, uid = '', labels = {} } = one.metadata
      const { netns } = await this.lab.addPod({ namespace, name, uid, labels, node: this.#nodeOf(one) })
      const listeners = this.services.map(({ protocol, port }) => ({ netns, protocol: lower(protocol), port }))
      this.#listening.push(await listen(listeners))
    }
    this.lab.put(manifestOf(this.#placed(one)))
  }

  #placed(one: RawObject): RawObject {
    if (one.kind !== 'Pod') return one
    const { node, addresses } = this.pod(idOf(one))
    return placed(one, { nodeName: node.name, addresses })
  }

  /**
   * When it returns, all is in the kernels of all nodes: an agent reads all that it finds, and writes it in one transaction,
   * and the marker comes last.
   */
  async settled(): Promise<void> {
    const metadata = { namespace: MARKER, name: `round-${++this.#round}` }
    const marker = { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata, spec: { podSelector: {} } }
    this.lab.put(marker)
    for (const { name } of this.nodes)
      await until(`${metadata.name} is in the kernel of ${name}`, async () => {
        const { stdout } = await inside(name, 'nft', '-t', 'list', 'table', 'inet', 'bramble-policy')
        return stdout.includes(`${MARKER}/${metadata.name} `)
      })
    this.lab.remove(marker)
  }
}

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
