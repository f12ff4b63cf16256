import type { Logger } from 'pino'
import type { Leases } from '../../ipam/leases.ts'
import type { Activity } from '../activity.ts'
import type { ClusterSource } from '../cluster/view.ts'
import type { LazyNftables } from '../kernel/lazy-nftables.ts'
import { Netlink } from '../kernel/netlink.ts'
import { NETLINK_PROTOCOL } from '../kernel/netlink-socket.ts'
import type { Options } from '../options.ts'
import { Connections } from './connections.ts'
import { PolicyEnforcement } from './enforcement.ts'
import { KernelTable } from './kernel-table.ts'

export interface EnforcementParts {
  readonly options: Options
  readonly leases: Leases
  readonly source: ClusterSource
  readonly nftables: LazyNftables
  readonly activity: Activity
  readonly log: Logger
}

/** What stands between pods and packets, put together as the options want it. */
export function policyEnforcement({
  options,
  leases,
  source,
  nftables,
  activity,
  log,
}: EnforcementParts): PolicyEnforcement {
  const { nodeName, policyMode, policyFailsOpen, policyWaitSeconds, vxlanPort, wireguardPort } = options
  return new PolicyEnforcement({
    settings: {
      nodeName,
      mode: policyMode,
      failsOpen: policyFailsOpen,
      waitMs: policyWaitSeconds * 1000,
      tunnelPorts: { vxlan: vxlanPort, wireguard: wireguardPort },
    },
    leases,
    source: source.workloads,
    table: new KernelTable(nftables),
    connections: new Connections(new Netlink(NETLINK_PROTOCOL.netfilter), log),
    activity,
    log,
  })
}
