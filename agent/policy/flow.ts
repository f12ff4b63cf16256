import type { Protocol } from '../cluster/policy.ts'

/** The first packet of a connection as the forwarding kernel sees it: the source not yet translated, the destination translated (Services). */
export interface Flow {
  readonly source: string
  readonly destination: string
  /** ICMP stands for all that has no ports. */
  readonly protocol: Protocol | 'ICMP'
  /** 0 where there is none. */
  readonly destinationPort: number
}
