import { type Cidr, overlaps } from '../../ipam/address.ts'

/** Networks that no node's pods may have addresses of. */
export interface RefusedNetworks {
  readonly serviceCidrs: readonly Cidr[]
  /** The pods of all nodes together; empty: not told. */
  readonly clusterCidrs: readonly Cidr[]
}

/** Why no node can have this pod CIDR. Pure. @returns undefined where it can */
export function refusedNetwork(cidr: Cidr, { serviceCidrs, clusterCidrs }: RefusedNetworks): string | undefined {
  const services = serviceCidrs.find((one) => overlaps(one, cidr))
  if (services) return `overlaps ${services.text}, the addresses of Services; give the pods others`
  const cluster = clusterCidrs.filter(({ family }) => family === cidr.family)
  if (cluster.length === 0) return undefined
  const around = cluster.find((one) => overlaps(one, cidr))
  if (!around) return `is outside of the cluster's ${cluster.map(({ text }) => text).join(', ')}; see --cluster-cidr`
  if (cidr.prefixLength <= around.prefixLength)
    return `is as large as the whole cluster's ${around.text}, and leaves nothing for other nodes; give each node a part, like a /${cidr.family === 4 ? Math.max(24, around.prefixLength + 1) : Math.max(64, around.prefixLength + 1)}`
  return undefined
}
