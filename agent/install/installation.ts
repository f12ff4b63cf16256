import { existsSync, type FSWatcher, mkdirSync, readdirSync, readFileSync, statSync, watch } from 'node:fs'
import { basename, join } from 'node:path'
import type { Logger } from 'pino'
import type { Options } from '../options.ts'
import { CHAINED_PLUGINS, CONFLIST_NAME, leadsToUs, namesBeforeOurs, pluginTypes, renderConflist } from './conflist.ts'
import { putDropIns } from './drop-ins.ts'
import { InstallError } from './errors.ts'
import { onNode } from './on-node.ts'
import { putPlugins } from './plugin.ts'
import { replaceFile, UNFINISHED } from './replace-file.ts'

/** Package managers and `kubeadm reset` change many files at once. */
const LOOK_AFTER_MS = 200
/** After a failure, then twice as long each time: a disk that was full, a folder that could not be written. */
const RETRY_MS = { first: 1_000, most: 60_000 }

type Places = Pick<Options, 'cniBinDir' | 'cniConfDir'>

/**
 * What the agent puts on the node for the container runtime, and keeps there: the plugin, and the network configuration once it
 * can serve, since a node is Ready from that moment. A failure of it ends no agent: those pods that have a network keep it.
 */
export class Installation {
  readonly #places: Places
  readonly #log: Logger
  readonly #watched = new Map<string, Watched>()
  #timer: NodeJS.Timeout | undefined
  #retry: NodeJS.Timeout | undefined
  #retryMs = RETRY_MS.first
  #problem: string | undefined
  #strangers: readonly string[] = []
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
    if (this.#dirs.length > 0) this.#look()
  }

  /** What is wrong now, for people. Whoever asks is a timer or a request: nothing is thrown. */
  get problems(): string[] {
    const { cniConfDir } = this.#places
    const found = this.#problem === undefined ? [] : [this.#problem]
    try {
      if (cniConfDir !== undefined) this.#strangers = strangers(cniConfDir)
    } catch (error) {
      found.push(`${onNode(cniConfDir ?? '')} cannot be read: ${(error as Error).message}`)
    }
    return [...found, ...this.#strangers]
  }

  close(): void {
    clearTimeout(this.#timer)
    clearTimeout(this.#retry)
    for (const { watcher } of this.#watched.values()) watcher.close()
  }

  get #dirs(): string[] {
    const { cniBinDir, cniConfDir } = this.#places
    return [cniBinDir, cniConfDir].filter((dir) => dir !== undefined)
  }

  /**
   * A folder that was removed and made again is another one, which nobody watches yet. Where it cannot be watched, what somebody
   * takes away is put back by the next agent.
   */
  #watch(dir: string): void {
    const { ino } = statSync(dir)
    const before = this.#watched.get(dir)
    if (before?.ino === ino) return
    before?.watcher.close()
    this.#watched.delete(dir)
    const cannot = (err: unknown) =>
      this.#log.warn({ err, dir: onNode(dir) }, 'a folder of the runtime cannot be watched')
    try {
      const watcher = watch(dir, (_, name) => this.#changed(dir, name)).on('error', cannot)
      this.#watched.set(dir, { watcher, ino })
    } catch (error) {
      cannot(error) // the node has no inotify instance left
    }
  }

  #changed(dir: string, name: string | null): void {
    if (name?.endsWith(UNFINISHED)) return // our own: on a full disk each try would be the cause of the next
    if (name === basename(dir)) {
      // So it is told of the folder itself. What is made next may have the same inode.
      this.#watched.get(dir)?.watcher.close()
      this.#watched.delete(dir)
    }
    this.#lookSoon()
  }

  #lookSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#look()
    }, LOOK_AFTER_MS)
  }

  #look(): void {
    clearTimeout(this.#retry)
    try {
      for (const dir of this.#dirs) this.#makeFolder(dir)
      this.#put()
      this.#problem = undefined
      this.#retryMs = RETRY_MS.first
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      this.#problem = code === 'INSTALL' ? message : `the plugin or its configuration cannot be installed: ${message}`
      this.#retry = setTimeout(() => this.#look(), this.#retryMs)
      this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS.most)
    }
    const [problem] = this.problems
    if (problem !== undefined && problem !== this.#said) this.#log.error({ problem }, 'pods get no network by Bramble')
    this.#said = problem
  }

  /** Watched before it is looked at: nothing that happens between the two is missed. */
  #makeFolder(dir: string): void {
    mkdirSync(dir, { recursive: true })
    // A container keeps the folder that was mounted when it started, whatever the node has there since.
    if (statSync(dir).nlink === 0)
      throw new InstallError(
        `${onNode(dir)} was removed on the node: the agent needs a new container, kubectl -n kube-system delete pod with its name`,
      )
    this.#watch(dir)
  }

  #put(): void {
    const { cniBinDir = '', cniConfDir } = this.#places
    for (const file of putPlugins(cniBinDir)) this.#log.info({ file }, 'plugin installed')
    if (cniConfDir === undefined) return
    const present = new Set<string>(CHAINED_PLUGINS.filter((plugin) => existsSync(join(cniBinDir, plugin))))
    const path = join(cniConfDir, CONFLIST_NAME)
    if (replaceFile(path, Buffer.from(renderConflist(present)), 0o644))
      this.#log.info({ file: onNode(path), chained: [...present] }, 'network configuration written')
  }
}

interface Watched {
  readonly watcher: FSWatcher
  readonly ino: number
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
