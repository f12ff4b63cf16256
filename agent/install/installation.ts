import { existsSync, type FSWatcher, mkdirSync, readdirSync, readFileSync, watch } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { Options } from '../options.ts'
import { CHAINED_PLUGINS, CONFLIST_NAME, leadsToUs, namesBeforeOurs, pluginTypes, renderConflist } from './conflist.ts'
import { putDropIns } from './drop-ins.ts'
import { onNode } from './on-node.ts'
import { putPlugins } from './plugin.ts'
import { replaceFile } from './replace-file.ts'

/** Package managers and `kubeadm reset` change many files at once. */
const LOOK_AFTER_MS = 200

type Places = Pick<Options, 'cniBinDir' | 'cniConfDir'>

/**
 * What the agent puts on the node for the container runtime, and keeps there: the plugin, and the network configuration once it
 * can serve, since a node is Ready from that moment. A failure of it ends no agent: those pods that have a network keep it.
 */
export class Installation {
  readonly #places: Places
  readonly #log: Logger
  readonly #watchers: FSWatcher[] = []
  #timer: NodeJS.Timeout | undefined
  #chain: string | undefined
  #problem: string | undefined
  #said: string | undefined

  constructor(places: Places, log: Logger) {
    this.#places = places
    this.#log = log
  }

  /** Before any of our links is there for them to see. */
  quietDaemons(): void {
    if (this.#places.cniBinDir !== undefined) putDropIns(this.#log)
  }

  /** Once the agent serves. */
  begin(): void {
    const { cniBinDir, cniConfDir } = this.#places
    const dirs = [cniBinDir, cniConfDir].filter((dir) => dir !== undefined)
    if (dirs.length === 0) return
    this.#look()
    for (const dir of dirs) this.#watch(dir)
  }

  /** What is wrong now, for people. */
  get problems(): string[] {
    const { cniConfDir } = this.#places
    if (this.#problem !== undefined) return [this.#problem]
    return cniConfDir === undefined ? [] : strangers(cniConfDir)
  }

  close(): void {
    clearTimeout(this.#timer)
    for (const watcher of this.#watchers) watcher.close()
  }

  /** Where it cannot be watched, what somebody takes away is put back by the next agent. */
  #watch(dir: string): void {
    const cannot = (err: unknown) =>
      this.#log.warn({ err, dir: onNode(dir) }, 'a folder of the runtime cannot be watched')
    try {
      this.#watchers.push(watch(dir, () => this.#lookSoon()).on('error', cannot))
    } catch (error) {
      cannot(error) // it is not there, which is told already; or the node has no inotify instance left
    }
  }

  #lookSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#look()
    }, LOOK_AFTER_MS)
  }

  #look(): void {
    try {
      this.#put()
      this.#problem = undefined
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      this.#problem = code === 'INSTALL' ? message : `the plugin or its configuration cannot be installed: ${message}`
    }
    const [problem] = this.problems
    if (problem !== undefined && problem !== this.#said) this.#log.error({ problem }, 'pods get no network by Bramble')
    this.#said = problem
  }

  #put(): void {
    const { cniBinDir = '', cniConfDir } = this.#places
    mkdirSync(cniBinDir, { recursive: true })
    for (const file of putPlugins(cniBinDir)) this.#log.info({ file }, 'plugin installed')
    if (cniConfDir === undefined) return
    mkdirSync(cniConfDir, { recursive: true })
    const present = new Set<string>(CHAINED_PLUGINS.filter((plugin) => existsSync(join(cniBinDir, plugin))))
    const path = join(cniConfDir, CONFLIST_NAME)
    if (replaceFile(path, Buffer.from(renderConflist(present)), 0o644))
      this.#log.info({ file: onNode(path), chained: [...present] }, 'network configuration written')
    this.#tellChain(present, cniBinDir)
  }

  #tellChain(present: ReadonlySet<string>, binDir: string): void {
    const chain = [...present].join()
    if (chain === this.#chain) return
    this.#chain = chain
    if (!present.has('portmap'))
      this.#log.warn(
        { missing: onNode(join(binDir, 'portmap')) },
        'hostPorts of pods do nothing: install it (Debian: containernetworking-plugins, or kubernetes-cni); it is then used at once',
      )
  }
}

/** Configurations that the runtime takes before ours. */
function strangers(confDir: string): string[] {
  if (!existsSync(confDir)) return []
  return namesBeforeOurs(readdirSync(confDir)).flatMap((name) => {
    const path = join(confDir, name)
    const types = pluginTypes(readText(path))
    if (leadsToUs(types)) return []
    const whose =
      types.length > 0 ? `pods get their network from "${types[0]}"` : 'it cannot be read, and pods cannot start'
    return [`${onNode(path)} comes before ${CONFLIST_NAME}: ${whose}; take it away: sudo rm ${onNode(path)}`]
  })
}

/** Gone meanwhile, or a folder: nothing that can be used. */
function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
