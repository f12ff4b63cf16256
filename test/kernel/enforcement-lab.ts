import pino, { type Logger } from 'pino'
import { UNCOUNTED } from '../../agent/activity.ts'
import { parseNetworkPolicyObject } from '../../agent/cluster/network-policy-object.ts'
import { policyId } from '../../agent/cluster/policy.ts'
import type {
  ChangedWorkloads,
  ClusterPod,
  WorkloadChange,
  WorkloadSource,
  Workloads,
} from '../../agent/cluster/workloads.ts'
import { NO_WORKLOADS } from '../../agent/cluster/workloads.ts'
import { PolicyEnforcement } from '../../agent/enforcement/enforcement.ts'
import { KernelTable } from '../../agent/enforcement/kernel-table.ts'
import type { Nftables } from '../../agent/kernel/nftables.ts'
import { desiredPolicy } from '../../agent/ruleset/desired.ts'
import { POLICY_TABLE } from '../../agent/ruleset/table.ts'
import { parseCidr } from '../../ipam/address.ts'
import { type Lease, Leases } from '../../ipam/leases.ts'

/** The loop of enforcement with the real kernel, in this very process: what happens between two of its steps a test decides. */

/** The real thing, and now and then it fails. */
export class FragileNft {
  readonly #nft: Nftables
  /** So many of the next writings fail. */
  failures = 0
  /** The same of looks. */
  lookFailures = 0
  /** That have seen what there is. */
  looks = 0
  /** Before each writing. */
  meanwhile: () => Promise<void> | void = () => {}

  constructor(nft: Nftables) {
    this.#nft = nft
  }

  async run(commands: string): Promise<void> {
    await this.#fail()
    await this.#nft.run(commands)
  }

  async changeElements(...change: Parameters<Nftables['changeElements']>): Promise<void> {
    await this.#fail()
    await this.#nft.changeElements(...change)
  }

  list(command: Parameters<Nftables['list']>[0]) {
    return this.#nft.list(command)
  }

  async show(command: Parameters<Nftables['show']>[0]): Promise<string> {
    if (this.lookFailures > 0 && this.lookFailures--) throw new Error('the kernel is busy')
    const text = await this.#nft.show(command)
    this.looks++
    return text
  }

  async #fail(): Promise<void> {
    await this.meanwhile()
    if (this.failures > 0 && this.failures--) throw new Error('the kernel has no memory')
  }
}

/** A cluster that says what a test says. */
export class ToldSource implements WorkloadSource {
  readonly isComplete = false
  #onChange: ((change: WorkloadChange) => void) | undefined
  workloads: Workloads | undefined

  start(onChange: (change: WorkloadChange) => void): void {
    this.#onChange = onChange
    if (this.workloads) onChange({ workloads: this.workloads, problems: [] })
  }

  async ask(): Promise<ClusterPod | undefined> {
    return undefined
  }

  async close(): Promise<void> {}

  /** @param object a NetworkPolicy of the namespace x; undefined: it is gone */
  policy(name: string, spec: object | undefined): void {
    const object = {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { namespace: 'x', name },
      spec,
    }
    const id = policyId({ kind: 'NetworkPolicy', namespace: 'x', name })
    const policies = new Map(this.#now.policies)
    if (spec) policies.set(id, parseNetworkPolicyObject(object).policy)
    else policies.delete(id)
    this.#tell({ ...this.#now, policies }, { policies: new Set([id]) })
  }

  /** @param labels undefined: it is gone @param change of a pod that is not of this node, or is another one of its name */
  pod(name: string, labels: ClusterPod['labels'] | undefined, change: Partial<ClusterPod> = {}): void {
    const key = `x/${name}`
    const pods = new Map(this.#now.pods)
    if (labels)
      pods.set(key, {
        ...{ namespace: 'x', name, uid: '', nodeName: 'n1', labels },
        ...{ addresses: [], isHostNetwork: false, ports: [] },
        ...change,
      })
    else pods.delete(key)
    this.#tell({ ...this.#now, pods }, { pods: new Set([key]) })
  }

  get #now(): Workloads {
    const namespaces = new Map([['x', { name: 'x', labels: { 'kubernetes.io/metadata.name': 'x' } }]])
    return this.workloads ?? { ...NO_WORKLOADS, namespaces }
  }

  #tell(workloads: Workloads, changed: Partial<ChangedWorkloads>): void {
    const none = new Set<string>()
    const isFirst = this.workloads === undefined
    this.workloads = workloads
    this.#onChange?.({
      workloads,
      ...(!isFirst && { changed: { pods: none, namespaces: none, policies: none, ...changed } }),
      problems: [],
    })
  }
}

export class EnforcementLab {
  readonly source = new ToldSource()
  readonly nft: FragileNft
  readonly table: KernelTable
  /** Addresses of which connections may be forgotten. */
  readonly freed: string[] = []
  /** What another program had changed in the table, and is put back. */
  readonly repaired: string[] = []
  readonly enforcement: PolicyEnforcement
  readonly leases: Leases

  /** @param leases those of an earlier agent go on */
  constructor(
    nft: Nftables,
    {
      leases = newLeases(),
      waitMs = 0,
      failsOpen = false,
      log = pino({ level: 'silent' }),
    }: { leases?: Leases; waitMs?: number; failsOpen?: boolean; log?: Logger } = {},
  ) {
    this.leases = leases
    this.nft = new FragileNft(nft)
    this.table = new KernelTable(this.nft)
    this.enforcement = new PolicyEnforcement({
      settings: { nodeName: 'n1', mode: 'default', failsOpen, tunnelPorts: { vxlan: 4789, wireguard: 51820 }, waitMs },
      leases,
      source: this.source,
      table: this.table,
      connections: {
        freed: (addresses) => void this.freed.push(...addresses),
        settled: async () => {},
        begin: () => {},
        rulesChanged: () => {},
        close: async () => {},
      },
      activity: { ...UNCOUNTED, repaired: (_, damage) => void this.repaired.push(damage) },
      log,
    })
  }

  /** As ADD does it. @throws what the gate throws, and then nothing of the pod stays */
  async add(name: string, { uid = '', signal = new AbortController().signal } = {}): Promise<Lease> {
    const lease = this.leases.reserve({
      ...{ containerId: `${name}-${++containers}`, ifname: 'eth0', network: 'n' },
      ...{ pod: name === '' ? '' : `x/${name}`, ...(uid && { podUid: uid }) },
    })
    try {
      await this.enforcement.admit(lease, signal)
    } catch (error) {
      this.delete(lease)
      throw error
    }
    return lease
  }

  /** As DEL does it. */
  delete({ containerId, ifname }: Lease): void {
    this.leases.release(containerId, ifname)
    this.enforcement.forget()
  }

  /** How the kernel's table differs from one that is made from scratch; undefined: it does not. */
  async difference(): Promise<string | undefined> {
    const { input } = this.enforcement
    return input ? this.table.damage(desiredPolicy(input), 'everything') : 'nothing is known of the cluster'
  }

  /** The chain that decides about what comes to an address; undefined: none, it is open. */
  async chainOf(address: string | undefined): Promise<string | undefined> {
    return (await this.elements('map', 'ingress4')).get(String(address))
  }

  async elements(kind: 'set' | 'map', name: string): Promise<ReadonlyMap<string, string>> {
    return new Map(await this.table.elements(kind, name))
  }

  async text(): Promise<string> {
    return this.nft.show(`list table ${POLICY_TABLE}`)
  }
}

let containers = 0

export function newLeases(cidr = '10.42.0.0/24'): Leases {
  // Nobody's rest is waited for: an address that is freed may be given out again.
  let nowMs = 0
  return new Leases([parseCidr(cidr)], { append: () => {} }, () => (nowMs += 1_000_000))
}
