import { readFileSync } from 'node:fs'
import { isAddress } from '../../ipam/address.ts'
import type { ClusterSource } from '../cluster/view.ts'

/** By address, what this node has to reach at it whatever pods there are; a route to pods would lead elsewhere. */
export type Servers = ReadonlyMap<string, string>

/**
 * What the source asks, where it is configured by address (of a name nobody knows where it will lead), and who is asked for
 * names.
 */
export function serversOf({ server }: Pick<ClusterSource, 'server'>, resolvConf = '/etc/resolv.conf'): Servers {
  const servers = new Map(nameServers(resolvConf).map((address) => [address, `a DNS server in ${resolvConf}`]))
  if (server && isAddress(server.host)) servers.set(server.host, server.name)
  return servers
}

/** resolv.conf(5) */
function nameServers(path: string): string[] {
  try {
    const lines = readFileSync(path, 'utf8').matchAll(/^nameserver\s+([^\s%]+)/gm)
    return Array.from(lines, ([, address = '']) => address).filter(isAddress)
  } catch {
    return []
  }
}
