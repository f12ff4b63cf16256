import type { ApiAccess } from '../../../../agent/cluster/kubernetes/access.ts'
import { ApiDouble } from './api-double.ts'

/** A Node as far as the tests write it. */
export interface TestNode {
  readonly name: string
  readonly podCidrs?: readonly string[]
  readonly address?: string
  readonly annotations?: Readonly<Record<string, string>>
}

/** What the tests of the source do to an API server, be it the double or a real one. */
export interface Server {
  readonly access: ApiAccess
  create(node: TestNode): Promise<void>
  /** null removes. */
  annotate(name: string, key: string, value: string | null): Promise<void>
  setAddress(name: string, address: string): Promise<void>
  /** As kubelet does: a condition, and nothing of ours. */
  heartbeat(name: string): Promise<void>
  delete(name: string): Promise<void>
  annotationsOf(name: string): Promise<Readonly<Record<string, string>>>
  /** All Nodes, as they are. */
  nodes(): Promise<readonly object[]>
  /** All history is gone. */
  compact(): Promise<void>
  /** All connections of our client break. */
  disconnect(): void
  /** From now on no client gets through, or does again. */
  setAway(isAway: boolean): void
  /** Requests of our client so far that wrote something. */
  patches(): Promise<number>
  close(): Promise<void>
}

const NODES = '/api/v1/nodes'

export class DoubleServer implements Server {
  readonly double: ApiDouble
  readonly access: ApiAccess
  #beats = 0

  private constructor(double: ApiDouble) {
    this.double = double
    this.access = { server: double.url, skipsTlsVerify: false }
  }

  static async start(): Promise<DoubleServer> {
    return new DoubleServer(await ApiDouble.start({ bookmarkEveryMs: 50 }))
  }

  async create({ name, podCidrs, address, annotations }: TestNode): Promise<void> {
    this.double.objects.put(NODES, {
      metadata: { name, ...(annotations && { annotations }) },
      spec: podCidrs ? { podCIDR: podCidrs[0], podCIDRs: podCidrs } : {},
      status: address ? statusOf(address) : {},
    })
  }

  async annotate(name: string, key: string, value: string | null): Promise<void> {
    this.double.objects.mergePatch(NODES, name, { metadata: { annotations: { [key]: value } } })
  }

  async setAddress(name: string, address: string): Promise<void> {
    this.double.objects.mergePatch(NODES, name, { status: statusOf(address) })
  }

  async heartbeat(name: string): Promise<void> {
    const conditions = [{ type: 'Ready', status: 'True', lastHeartbeatTime: String(this.#beats++) }]
    this.double.objects.mergePatch(NODES, name, { status: { conditions } })
  }

  async delete(name: string): Promise<void> {
    this.double.objects.delete(NODES, name)
  }

  async annotationsOf(name: string): Promise<Readonly<Record<string, string>>> {
    return (this.double.objects.get(NODES, name)?.metadata.annotations ?? {}) as Record<string, string>
  }

  async nodes(): Promise<readonly object[]> {
    return this.double.objects.list(NODES)
  }

  async compact(): Promise<void> {
    this.double.compact()
  }

  disconnect(): void {
    this.double.disconnect()
  }

  setAway(isAway: boolean): void {
    this.double.fault = () => (isAway ? { kind: 'reset' } : undefined)
    if (isAway) this.double.disconnect()
  }

  async patches(): Promise<number> {
    return this.double.count('patch')
  }

  close(): Promise<void> {
    return this.double.close()
  }
}

export function statusOf(address: string) {
  return { addresses: [{ type: 'InternalIP', address }] }
}
