import fc from 'fast-check'
import { PORT_NUMBERS } from './clusters.ts'
import type { Site } from './oracle.ts'
import { formatted, rangeOf } from './oracle-addresses.ts'
import { nodeAddresses, tunnelAddresses } from './oracle-identities.ts'
import type { RawCluster, RawFlow } from './oracle-objects.ts'

/** Random flows, biased to hit: between addresses that mean something, at ports that do, and just beside them. */

export interface FlowPick {
  readonly family: 4 | 6
  readonly from: number
  readonly to: number
  /** Whether one end at least is a pod of the node. */
  readonly isOurs: boolean
  readonly isOut: boolean
  readonly protocol: RawFlow['protocol']
  readonly destinationPort: number
  /** To one of the ports that pods at the destination name, where there are any. */
  readonly named: number | undefined
}

const AROUND = PORT_NUMBERS.flatMap((number) => [number - 1, number, number, number, number + 1])

export const flowPick: fc.Arbitrary<FlowPick> = fc.record({
  family: fc.constantFrom(4, 4, 6),
  from: fc.nat(1000),
  to: fc.nat(1000),
  isOurs: fc.constantFrom(true, true, true, false),
  isOut: fc.boolean(),
  protocol: fc.constantFrom('TCP', 'TCP', 'UDP', 'SCTP', 'ICMP'),
  destinationPort: fc.constantFrom(...AROUND.filter((number) => number <= 65_535)),
  named: fc.option(fc.nat(100), { nil: undefined }),
})

/** @returns undefined where the cluster has no such addresses */
export function flowOf(cluster: RawCluster, site: Site, pick: FlowPick): RawFlow | undefined {
  const isFamily = (address: string) => address.includes(':') === (pick.family === 6)
  const ours = site.wired.flatMap(({ addresses }) => addresses).filter(isFamily)
  // Pods twice: what is between them is what most rules are about.
  const all = [...ours, ...podAddressesOf(cluster), ...podAddressesOf(cluster), ...others(cluster)].filter(isFamily)
  const one = <T>(all: readonly T[], index: number) => all[index % all.length]
  const near = one(pick.isOurs ? ours : all, pick.isOut ? pick.from : pick.to)
  const far = one(all, pick.isOut ? pick.to : pick.from)
  if (near === undefined || far === undefined) return undefined
  const [source, destination] = pick.isOut ? [near, far] : [far, near]
  const ports = pick.named === undefined ? [] : portsAt(cluster, destination)
  const port = one(ports, pick.named ?? 0) ?? pick
  return {
    source,
    destination,
    protocol: port.protocol,
    destinationPort: port.protocol === 'ICMP' ? 0 : port.destinationPort,
  }
}

/** Those with and without a name, of containers that stay and that do not. */
function portsAt({ pods }: RawCluster, address: string): Pick<RawFlow, 'protocol' | 'destinationPort'>[] {
  return pods
    .filter(({ status }) => status?.podIPs?.some(({ ip }) => ip === address))
    .flatMap(({ spec }) => [...spec.containers, ...(spec.initContainers ?? [])])
    .flatMap(({ ports }) => ports ?? [])
    .map(({ protocol = 'TCP', containerPort }) => ({
      protocol: protocol as RawFlow['protocol'],
      destinationPort: containerPort,
    }))
}

const podAddressesOf = ({ pods }: RawCluster) =>
  pods.flatMap(({ status }) => (status?.podIPs ?? []).map(({ ip }) => ip))

function others({ nodes, policies }: RawCluster): string[] {
  const cidrs = JSON.stringify(policies).match(/(?<=")[0-9a-f:.]+\/\d+(?=")/g) ?? []
  return [
    ...nodes.flatMap((node) => [...nodeAddresses(node), ...tunnelAddresses(node)]),
    ...[...new Set(cidrs)].flatMap(boundaries),
    '192.0.2.7',
    '2001:db8::7',
  ]
}

/** The first and the last address of a CIDR, and those just outside. */
function boundaries(cidr: string): string[] {
  const { bits = 0, first = 0n, last = 0n } = rangeOf(cidr) ?? {}
  return [first - 1n, first, last, last + 1n]
    .filter((number) => number > 0n && number < (1n << BigInt(bits)) - 1n)
    .map((number) => formatted(bits, number))
}
