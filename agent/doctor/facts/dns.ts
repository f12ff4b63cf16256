import type { Dns } from '../facts.ts'
import type { Places } from '../places.ts'

/** Where systemd-networkd keeps what DHCP gave, and which file each link was set up by. */
const NETIF = '/run/systemd/netif'

/** @throws Error in a pod */
export function dns(places: Places): Dns {
  places.needNode()
  const resolvConf = places.read('/etc/resolv.conf') ?? ''
  const leases = places.list(`${NETIF}/leases`)
  const leasedDomains = leases.flatMap((name) => {
    const lease = places.read(`${NETIF}/leases/${name}`) ?? ''
    return ['DOMAINNAME', 'DOMAIN_SEARCH_LIST'].flatMap((key) => words(lease, new RegExp(`^${key}=(.*)$`, 'm')))
  })
  const [link = ''] = leases
  return {
    servers: [...resolvConf.matchAll(/^\s*nameserver\s+(\S+)/gm)].map(([, server = '']) => server),
    // Of several lines the last one counts: resolv.conf(5).
    search: [...resolvConf.matchAll(/^\s*(?:search|domain)\s+(.*)$/gm)].at(-1)?.[1]?.trim().split(/\s+/) ?? [],
    hasUpstreamFile: places.has('/run/systemd/resolve/resolv.conf'),
    leasedDomains: [...new Set(leasedDomains)],
    networkFile: /^NETWORK_FILE=(.+)$/m.exec(places.read(`${NETIF}/links/${link}`) ?? '')?.[1],
  }
}

function words(text: string, line: RegExp): string[] {
  return (line.exec(text)?.[1] ?? '').split(/\s+/).filter((word) => word !== '')
}
