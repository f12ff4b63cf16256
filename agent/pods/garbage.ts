import { CNI_ERROR, CniError } from '../../plugin/errors.ts'
import type { AttachmentId } from '../../plugin/request.ts'
import { networkMark } from '../alias.ts'
import { deletePod } from './delete.ts'
import type { PodNetwork } from './network.ts'
import type { Turns } from './turns.ts'

/**
 * Removes every attachment of this network that the runtime does not name as valid; those of other networks stay. One
 * failure does not stop the rest.
 * @param valid undefined: the runtime named no set, and nothing changes
 * @throws CniError when something could not be removed
 */
export async function collectGarbage(
  network: PodNetwork,
  turns: Turns,
  networkName: string,
  valid: readonly AttachmentId[] | undefined,
): Promise<void> {
  if (!valid) return
  const kept = new Set(valid.map(({ containerId, ifname }) => `${containerId}:${ifname}`))
  const garbage = network.leases
    .list()
    .filter((lease) => lease.network === networkMark(networkName) && !kept.has(`${lease.containerId}:${lease.ifname}`))
  const failures: string[] = []
  await Promise.all(
    garbage.map(async ({ containerId, ifname, pod }) => {
      try {
        await turns.take(containerId, () => deletePod(network, containerId, ifname))
        network.log.info({ containerId, ifname, pod }, 'removed what the runtime does not know any more (GC)')
      } catch (error) {
        failures.push(`${containerId} ${ifname}: ${(error as Error).message}`)
      }
    }),
  )
  if (failures.length > 0)
    throw new CniError(
      CNI_ERROR.gcIncomplete,
      `${failures.length} of ${garbage.length} stale attachments could not be removed`,
      failures.slice(0, 5).join('; '),
    )
}
