import type { Logger } from 'pino'
import type { Cidr } from '../../ipam/address.ts'
import type { ViewProblem } from '../cluster/problem.ts'
import { type ClusterSource, type ClusterView, EMPTY_VIEW, JoinError } from '../cluster/view.ts'
import type { NetworkSettings } from '../desired/network.ts'
import type { Netlink } from '../kernel/netlink.ts'
import { listKernel, localFacts, NOBODY } from './facts.ts'
import { OverlapError, refuseClusterOverlap, refuseOverlap, refuseServers } from './overlap.ts'
import { ServerLookup } from './servers.ts'

const AGAIN_AFTER_MS = 15_000

/**
 * The pod CIDRs of this node. Where the cluster gives them out, this waits for as long as it takes, and for longer if
 * they cannot be used here: somebody has to change something, and a crash loop would help nobody.
 * @param isGiven by the cluster; else by whoever started the agent, who is told at once
 * @throws OverlapError, JoinError unless isGiven; KernelError
 */
export async function joinCluster(
  source: ClusterSource,
  netlink: Netlink,
  settings: Pick<NetworkSettings, 'serviceCidrs' | 'clusterCidrs'>,
  isGiven: boolean,
  onProblems: (problems: readonly ViewProblem[]) => void,
  log: Logger,
): Promise<readonly Cidr[]> {
  const [isNewsWaiting, isNewsRefused] = [changes(), changes()]
  const servers = new ServerLookup(source)
  for (;;) {
    try {
      const uplinks = await listUplinks(netlink)
      // Before anything is taken: with some sources the first node settles it for all.
      refuseClusterOverlap(settings.clusterCidrs, uplinks)
      const podCidrs = await source.join((problems) => {
        if (isNewsWaiting(JSON.stringify(problems)))
          for (const { object, reason } of problems) log.warn({ object, reason }, 'waiting for the pod CIDR')
        onProblems(problems)
      })
      const { clusterCidrs } = settings
      const serviceCidrs = [...settings.serviceCidrs, ...(source.serviceCidrs ?? [])]
      refuseOverlap(podCidrs, await listUplinks(netlink), { clusterCidrs, serviceCidrs })
      refuseServers(podCidrs, await servers.asked())
      return podCidrs
    } catch (error) {
      if (!isGiven || !(error instanceof OverlapError || error instanceof JoinError)) throw error
      if (isNewsRefused(error.message))
        log.error({ err: error }, 'this node cannot join the cluster as it is; trying again')
      onProblems([{ object: 'this node', reason: error.message }])
      await new Promise((resolve) => setTimeout(resolve, AGAIN_AFTER_MS))
    }
  }
}

/** Tells of each text whether it is another one than before. */
function changes(): (text: string) => boolean {
  let last: string | undefined
  return (text) => {
    const isNew = text !== last
    last = text
    return isNew
  }
}

/** The node's own ways out, none of ours among them. @throws KernelError */
async function listUplinks(netlink: Netlink) {
  return localFacts(await listKernel(netlink), EMPTY_VIEW, NOBODY, new Map()).uplinks
}

/**
 * A node that was taken away and came back may have other pod CIDRs from Kubernetes. In Redis its lease counts, whatever
 * somebody has written into its Node, and its registration tells of that. Pure.
 */
export function isRenumbered(
  view: ClusterView | undefined,
  { datastore, nodeName }: { readonly datastore: string; readonly nodeName: string },
  podCidrs: readonly Cidr[],
): boolean {
  const told = view?.nodes.get(nodeName)?.podCidrs ?? []
  if (datastore !== 'kubernetes' || told.length === 0) return false
  const texts = new Set(podCidrs.map(({ text }) => text))
  return told.length !== podCidrs.length || told.some(({ text }) => !texts.has(text))
}
