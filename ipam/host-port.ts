import { familyOf } from './address.ts'

/** A port of the node by which a pod is reached from outside (Kubernetes: hostPort). Pure. */
export interface HostPort {
  readonly protocol: Protocol
  /** The node's address, as formatAddress writes it; '' is any, `0.0.0.0` and `::` are any of their family. */
  readonly hostIp: string
  readonly hostPort: number
  readonly containerPort: number
}

export const PROTOCOLS = ['tcp', 'udp', 'sctp'] as const
export type Protocol = (typeof PROTOCOLS)[number]

type NodeEnd = Omit<HostPort, 'containerPort'>

export function isAnyAddress(hostIp: string): boolean {
  return hostIp === '' || hostIp === '0.0.0.0' || hostIp === '::'
}

/** Whether something that is sent to the node could be meant for either: as with sockets, any address takes all of them. */
export function overlapsPort(a: NodeEnd, b: NodeEnd): boolean {
  if (a.protocol !== b.protocol || a.hostPort !== b.hostPort) return false
  if (a.hostIp === '' || b.hostIp === '' || a.hostIp === b.hostIp) return true
  return familyOf(a.hostIp) === familyOf(b.hostIp) && (isAnyAddress(a.hostIp) || isAnyAddress(b.hostIp))
}

/** For people: `tcp port 80`, `udp port 53 of 192.0.2.1` */
export function portInWords({ protocol, hostPort, hostIp }: NodeEnd): string {
  return `${protocol} port ${hostPort}${hostIp === '' ? '' : ` of ${hostIp}`}`
}
