import { isAddress } from '../ipam/address.ts'
import { type HostPort, PROTOCOLS } from '../ipam/host-port.ts'

/**
 * What the kernel remembers for us of the ports of the node that lead to a pod: each is one more name of the pod's link
 * (IFLA_ALT_IFNAME, Linux 5.5). The alias has no room for them, and the link takes these names with it when it goes.
 *
 *     LINK_PROTOCOL_HOSTPORT_CONTAINERPORT[_HOSTIP]
 *
 * Names have no colon, so an IPv6 address is written with `-` for each. ALTIFNAMSIZ of include/uapi/linux/if.h is 128 with
 * the NUL; these take 15 + 1 + 4 + 6 + 6 + 1 + 39 at most.
 */
export function formatPortNames(link: string, ports: readonly HostPort[] = []): string[] {
  return ports.map(({ protocol, hostPort, containerPort, hostIp }) =>
    [link, protocol, hostPort, containerPort, ...(hostIp === '' ? [] : [hostIp.replaceAll(':', '-')])].join('_'),
  )
}

/** @returns those that are ours; any other name is somebody else's */
export function parsePortNames(link: string, names: readonly string[]): HostPort[] {
  return names.flatMap((name) => {
    const [owner, protocolText, host = '', container = '', address = '', ...rest] = name.split('_')
    const protocol = PROTOCOLS.find((known) => known === protocolText)
    const hostIp = address.includes('.') ? address : address.replaceAll('-', ':')
    if (owner !== link || !protocol || rest.length > 0 || !isPort(host) || !isPort(container)) return []
    if (hostIp !== '' && !isAddress(hostIp)) return []
    return [{ protocol, hostIp, hostPort: Number(host), containerPort: Number(container) }]
  })
}

function isPort(text: string): boolean {
  return /^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65_535
}
