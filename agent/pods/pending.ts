import { type Dirent, existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { isContainerId, isIfname } from '../../plugin/request.ts'
import { faultPoint } from '../fault.ts'
import { deletePod } from './delete.ts'
import type { PodNetwork } from './network.ts'

/*
 * DELs that found no agent. The plugin left an empty file for each, whose name says it all: CONTAINERID:IFNAME.
 */

/** Carries them out, once. A note that cannot be carried out stays for the next start; any other file stays as it is. */
export async function deletePending(network: PodNetwork): Promise<void> {
  const folder = network.pendingDir
  let entries: Dirent[]
  try {
    entries = readdirSync(folder, { withFileTypes: true })
  } catch {
    return // no note was ever left
  }
  for (const entry of entries) {
    const { name } = entry
    const [containerId = '', ifname = '', ...rest] = name.split(':')
    if (rest.length > 0 || !isContainerId(containerId) || !isIfname(ifname) || !entry.isFile()) {
      network.log.warn({ folder, name }, 'not a note of ours among the pending DELs; left alone')
      continue
    }
    try {
      await carryOut(network, containerId, ifname)
    } catch (error) {
      network.log.error({ err: error, containerId, ifname }, 'cannot carry out a pending DEL; trying at the next start')
    }
  }
}

/**
 * To be called before an ADD: of the same attachment a note may be left, by a plugin that was killed or that found the
 * agent too busy. That DEL comes before this ADD; carried out after it, it would cut off a living pod.
 * @throws KernelError
 */
export async function deleteIfPending(network: PodNetwork, containerId: string, ifname: string): Promise<void> {
  if (existsSync(join(network.pendingDir, `${containerId}:${ifname}`))) await carryOut(network, containerId, ifname)
}

async function carryOut(network: PodNetwork, containerId: string, ifname: string): Promise<void> {
  await deletePod(network, containerId, ifname)
  faultPoint('pending:deleted')
  rmSync(join(network.pendingDir, `${containerId}:${ifname}`), { force: true }) // the plugin may have been faster
  faultPoint('pending:forgotten')
  network.log.info({ containerId, ifname }, 'carried out a DEL that had found no agent')
}
