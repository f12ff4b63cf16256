import { readdirSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { isContainerId, isIfname } from '../../plugin/request.ts'
import { faultPoint } from '../fault.ts'
import { deletePod } from './delete.ts'
import type { PodNetwork } from './network.ts'

/**
 * Carries out the DELs that found no agent, once. The plugin left an empty file for each, whose name says it all:
 * CONTAINERID:IFNAME. A note that cannot be carried out stays for the next start; any other file stays as it is.
 */
export async function deletePending(network: PodNetwork, folder: string): Promise<void> {
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch {
    return // no note was ever left
  }
  for (const name of names) {
    const [containerId = '', ifname = '', ...rest] = name.split(':')
    if (rest.length > 0 || !isContainerId(containerId) || !isIfname(ifname)) {
      network.log.warn({ folder, name }, 'not a note of ours among the pending DELs; left alone')
      continue
    }
    try {
      await deletePod(network, containerId, ifname)
      faultPoint('pending:deleted')
      unlinkSync(join(folder, name))
      faultPoint('pending:forgotten')
      network.log.info({ containerId, ifname }, 'carried out a DEL that had found no agent')
    } catch (error) {
      network.log.error({ err: error, containerId, ifname }, 'cannot carry out a pending DEL; trying at the next start')
    }
  }
}
