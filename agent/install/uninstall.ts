import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CleanupOptions, cleanUp } from '../cleanup/cleanup.ts'
import type { CleanupReport } from '../cleanup/report.ts'
import type { Found, Step } from '../cleanup/step.ts'
import type { NodeMark } from '../cluster/kubernetes/leave.ts'
import type { Options } from '../options.ts'
import { CONFLIST_NAME, pluginTypes } from './conflist.ts'
import { DROP_INS } from './drop-ins.ts'
import { onNode } from './on-node.ts'
import { installedPlugins, removeFile } from './plugin.ts'

/**
 * Takes Bramble off this node: first the network configuration, so that the runtime starts no pod any more, then what is in the
 * kernel, then the plugin, and last what the cluster knows of it.
 * @throws OptionError, LockedError, as cleanUp does, before anything is touched
 */
export function uninstall(
  options: Options,
  how: Pick<CleanupOptions, 'isDryRun' | 'isForced'>,
): Promise<CleanupReport> {
  const { stateDir, socket } = options
  return cleanUp({
    stateDir,
    socket,
    ...how,
    before: [conflist(options)],
    after: [plugins(options), dropIns(), node(options)],
  })
}

/** How many containers have their network by Bramble. */
export async function podsOnNode({ stateDir, socket }: Options): Promise<number> {
  return (await cleanUp({ stateDir, socket, isDryRun: true, isForced: false })).pods
}

/** With another plugin in it the file is somebody else's. */
function conflist({ cniConfDir }: Options): Step<FoundFile> {
  return files('the network configuration', () => {
    if (cniConfDir === undefined) return []
    const path = join(cniConfDir, CONFLIST_NAME)
    return existsSync(path) && pluginTypes(readFileSync(path, 'utf8')).includes('bramble') ? [path] : []
  })
}

function plugins({ cniBinDir }: Options): Step<FoundFile> {
  return files('plugins', () => (cniBinDir === undefined ? [] : installedPlugins(cniBinDir)))
}

function dropIns(): Step<FoundFile> {
  return files("settings of the node's daemons", () =>
    DROP_INS.map(({ path }) => path).filter((path) => existsSync(path)),
  )
}

interface FoundFile extends Found {
  readonly path: string
}

function files(name: string, paths: () => readonly string[]): Step<FoundFile> {
  return {
    name,
    list: async () => paths().map((path) => ({ text: `file ${onNode(path)}`, path })),
    remove: (found) => each(found, ({ path }) => removeFile(path)),
  }
}

function node({ datastore, kubeconfig, nodeName }: Options): Step<NodeMark> {
  return {
    name: `marks on Node ${nodeName}`,
    list: async () => {
      if (datastore !== 'kubernetes') return []
      const [{ apiClient }, { nodeMarks }, { parseOne }] = await Promise.all([
        import('../cluster/kubernetes/source.ts'),
        import('../cluster/kubernetes/leave.ts'),
        import('../cluster/yaml.ts'),
      ])
      return nodeMarks(apiClient(kubeconfig, parseOne), nodeName)
    },
    remove: (found) => each(found, (mark) => mark.remove()),
  }
}

async function each<T>(found: readonly T[], remove: (one: T) => Promise<void> | void): Promise<(Error | undefined)[]> {
  const outcomes: (Error | undefined)[] = []
  for (const one of found)
    try {
      await remove(one)
      outcomes.push(undefined)
    } catch (error) {
      outcomes.push(error as Error)
    }
  return outcomes
}
