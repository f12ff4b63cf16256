import { type FSWatcher, statSync, watch } from 'node:fs'
import type { Cidr } from '../../../ipam/address.ts'
import type { ViewProblem } from '../problem.ts'
import type { ClusterNode, ClusterSource, ViewChange } from '../view.ts'
import { type Contents, contentsOf, differing } from './contents.ts'
import { type Manifest, type ParseManifests, readManifests } from './manifest-files.ts'
import { FolderWorkloads } from './workloads.ts'

/** Editors write, rename and touch: one look after the last of it. */
const SETTLE_MS = 50
/** And one look in this time, while somebody goes on writing. */
const SETTLE_MAX_MS = 500
/** Where no watch is possible (network file systems tell nothing), and in case one is missed. */
const LOOK_EVERY_MS = 5_000

/**
 * The cluster from a folder of Kubernetes manifests: every Node, Pod, Namespace and policy in every YAML or JSON file.
 * What a file, or an object in it, said when it could last be read stays in force while it cannot be.
 */
export class ManifestFolder implements ClusterSource {
  readonly workloads = new FolderWorkloads(() => this.#begin())
  readonly #folder: string
  readonly #podCidrs: readonly Cidr[]
  readonly #parse: ParseManifests
  readonly #lookEveryMs: number
  #manifests: ReadonlyMap<string, Manifest> = new Map()
  /** In which file each object is. */
  readonly #homes = new Map<string, string>()
  /** undefined: the folder was never there. */
  #contents: Contents | undefined
  /** Of the folder, and of files as a whole. */
  #problems: readonly ViewProblem[] = []
  #onChange: ((change: ViewChange) => void) | undefined
  #told: ReadonlyMap<string, ClusterNode> | undefined
  #lastSaid: string | undefined
  #hasBegun = false
  /** Each file could be read, all at the same time or not: so all of what the folder says is known. */
  #hasBeenWhole = false
  /** When the first event came since the last look. */
  #heardAtMs: number | undefined
  #watcher: FSWatcher | undefined
  /** Device and inode of the folder that is watched. */
  #watched: string | undefined
  #timer: NodeJS.Timeout | undefined

  /** @param lookEveryMs only tests have more patience */
  constructor(folder: string, podCidrs: readonly Cidr[], parse: ParseManifests, lookEveryMs = LOOK_EVERY_MS) {
    this.#folder = folder
    this.#podCidrs = podCidrs
    this.#parse = parse
    this.#lookEveryMs = lookEveryMs
  }

  async join(): Promise<readonly Cidr[]> {
    return this.#podCidrs
  }

  /** The folder is a person's: who wants to tell the others writes the manifest. */
  announce(): void {}

  start(onChange: (change: ViewChange) => void): void {
    this.#begin()
    this.#onChange = onChange
    this.#tell()
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#watcher?.close()
    await this.workloads.close()
  }

  #begin(): void {
    if (this.#hasBegun) return
    this.#hasBegun = true
    this.#look()
  }

  /** The folder that has the name now: somebody may have put another one in its place. */
  #watch(): void {
    const stats = statSync(this.#folder, { throwIfNoEntry: false })
    const now = stats && `${stats.dev} ${stats.ino}`
    if (now === this.#watched) return
    this.#watcher?.close()
    this.#watcher = undefined
    this.#watched = undefined
    if (now === undefined) return
    try {
      this.#watcher = watch(this.#folder, () => {
        clearTimeout(this.#timer)
        this.#heardAtMs ??= performance.now()
        const waitMs = Math.max(0, Math.min(SETTLE_MS, this.#heardAtMs + SETTLE_MAX_MS - performance.now()))
        this.#timer = setTimeout(() => this.#look(), waitMs)
      })
      this.#watcher.on('error', () => {}).unref()
      this.#watched = now
    } catch {
      // it is looked at every few seconds
    }
  }

  #look(): void {
    this.#heardAtMs = undefined
    clearTimeout(this.#timer)
    this.#watch() // before it is read: what comes then is heard
    const before = this.#manifests
    const unreadable = this.#readFolder()
    const isListed = this.#contents !== undefined || unreadable === undefined
    if (isListed && !(this.#contents && saySame(before, this.#manifests))) this.#contents = this.#read()
    const ofFiles = [...this.#manifests].flatMap(([object, { problems }]) =>
      problems.map((reason) => ({ object, reason })),
    )
    this.#problems = [...(unreadable ? [unreadable] : []), ...ofFiles]
    this.#timer = setTimeout(() => this.#look(), this.#lookEveryMs).unref()
    this.#tell()
    const unread = [...this.#manifests].flatMap(([file, { hasBeenWhole }]) => (hasBeenWhole ? [] : [file]))
    this.#hasBeenWhole ||= isListed && unread.length === 0
    if (this.#hasBeenWhole) this.workloads.found(this.#contents)
    else this.workloads.isWaitingFor(unread)
  }

  /** @returns what is wrong with the folder as a whole */
  #readFolder(): ViewProblem | undefined {
    try {
      this.#manifests = readManifests(this.#folder, this.#manifests, this.#parse)
      return undefined
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      const meanwhile = this.#contents ? 'what it said before stays in force' : 'waiting for it'
      return { object: this.#folder, reason: `cannot be read: ${code}; ${meanwhile}` }
    }
  }

  #read(): Contents {
    const said = Array.from(this.#manifests, ([file, { objects = [] }]) => [file, objects] as const)
    return contentsOf(new Map(said), this.#homes, this.#contents)
  }

  #tell(): void {
    const nodes = this.#contents?.nodes
    const problems = [...this.#problems, ...(this.#contents?.nodeProblems ?? [])]
    const changed = differing(this.#told, nodes ?? new Map())
    const isNew = changed.size > 0 || (nodes !== undefined && this.#told === undefined)
    const said = JSON.stringify(problems)
    if (!this.#onChange || (!isNew && said === this.#lastSaid)) return
    this.#lastSaid = said
    this.#told = nodes
    this.#onChange({ view: nodes && { nodes }, changed, problems })
  }
}

function saySame(before: ReadonlyMap<string, Manifest>, after: ReadonlyMap<string, Manifest>): boolean {
  const names = [...after.keys()]
  return before.size === after.size && names.every((name) => before.get(name)?.objects === after.get(name)?.objects)
}
