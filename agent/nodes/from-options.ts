import { existsSync } from 'node:fs'
import type { Logger } from 'pino'
import type { Cidr } from '../../ipam/address.ts'
import type { Activity } from '../activity.ts'
import type { ClusterSource } from '../cluster/view.ts'
import { IdleMemory } from '../idle-memory.ts'
import type { LazyNftables } from '../kernel/lazy-nftables.ts'
import type { Netlink } from '../kernel/netlink.ts'
import type { UplinkMtu } from '../mtu/uplink-mtu.ts'
import type { Options } from '../options.ts'
import { loadPrivateKey } from '../wireguard-key.ts'
import { NodeNetwork } from './network.ts'
import { ServerLookup } from './servers.ts'
import { announcement, encrypts, networkSettings } from './settings.ts'
import { nodeSubsystems } from './subsystems.ts'
import { TunnelFeatures } from './tunnel-features.ts'

export interface NodeNetworkParts {
  readonly options: Options
  readonly podCidrs: readonly Cidr[]
  readonly source: ClusterSource
  readonly uplinkMtu: UplinkMtu
  readonly netlink: Netlink
  readonly nftables: LazyNftables
  readonly activity: Activity
  readonly log: Logger
}

/** What joins this node to the others, put together as the options want it. @throws WireguardKeyError */
export function nodeNetwork(parts: NodeNetworkParts): NodeNetwork {
  const { options, podCidrs, source, uplinkMtu, netlink, nftables, activity, log } = parts
  const wireguardKey = encrypts(options) ? loadPrivateKey(options.wireguardKeyFile) : undefined
  const settings = networkSettings(options, wireguardKey)
  const features = new TunnelFeatures(options)
  const idleMemory = new IdleMemory()
  const servers = new ServerLookup(source, { onNews: () => network.lookAgain() })
  const network = new NodeNetwork({
    netlink,
    subsystems: nodeSubsystems(netlink, nftables, wireguardKey, existsSync('/proc/sys/net/ipv6')),
    thisNode: {
      name: options.nodeName,
      podCidrs,
      addresses: options.nodeIps,
      tellsAddresses: options.datastore === 'redis',
      servers: () => servers.known,
    },
    settings,
    features,
    onDesired: ({ uplinks, self }) => {
      uplinkMtu.setCarriers(uplinks)
      source.announce(announcement(features.encapsulations, settings), self.addresses)
    },
    onLooked: () => idleMemory.touched(), // thousands of nodes leave tens of megabytes behind
    activity,
    log,
  })
  return network
}
