import type { Logger } from 'pino'
import type { Lease, Leases } from '../../ipam/leases.ts'
import type { Netlink } from '../kernel/netlink.ts'
import type { CondemnedLinks } from './condemned.ts'

/** What stands between a pod and the first packet. */
export interface PodGate {
  /**
   * When it returns, the kernel holds to what the cluster wants of this pod, or to nothing at all getting through; its
   * links are made after that. @throws Error when the kernel does not take it; the signal's reason
   */
  admit(lease: Lease, signal: AbortSignal): Promise<void>
  /** A lease is gone: what was in the kernel for it may go, too. */
  forget(lease: Lease): void
  /** Why no pod gets past it, in words; undefined where they do. */
  readonly closedBecause: string | undefined
}

/** What leads from ports of the node to pods. Of a lease without such ports nothing is asked. */
export interface PodPorts {
  /** When it returns, they lead to the pod. @throws CniError */
  publish(lease: Lease): Promise<void>
  /** A lease is gone, and its ports lead nowhere. Never throws. */
  withdraw(lease: Lease): Promise<void>
  /** What is not as it should be in the kernel, in words. @param leases absent: all @throws NftablesError */
  differences(leases?: readonly Lease[]): Promise<string[]>
}

/** What the calls of a runtime work on: one per agent. */
export interface PodNetwork {
  /** In the node's network namespace. */
  readonly netlink: Netlink
  readonly leases: Leases
  readonly condemned: CondemnedLinks
  readonly gate: PodGate
  readonly ports: PodPorts
  /** The finished and half-made attachments by the index of their host link, which the kernel never gives twice. */
  readonly links: Map<number, { readonly containerId: string; readonly ifname: string }>
  /** The MTU of pods whose configuration does not name one, in bytes. */
  readonly mtuBytes: () => Promise<number>
  /** The node's UDP ports that are no pod's: its tunnels end there. */
  readonly tunnelPorts: readonly number[]
  /** The node's kernel has IPv6. */
  readonly hasIpv6: boolean
  /** Where the plugin leaves notes of DELs that found no agent. */
  readonly pendingDir: string
  readonly log: Logger
}
