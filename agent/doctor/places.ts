import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** In the agent's pod, files of the node are mounted below it, as far as the agent needs them. */
const MOUNTED = '/host'

/** Where the files of the node are. What is not there, or may not be read, is just absent. */
export class Places {
  readonly #roots: readonly string[]
  readonly #mounted: string

  /** @param mounted what a pod has below it */
  constructor(roots: readonly string[] = [MOUNTED, '/'], mounted = MOUNTED) {
    this.#roots = roots
    this.#mounted = mounted
  }

  /** The path as this process reaches it. @param path as a person on the node would write it */
  path(path: string): string {
    const paths = this.#roots.map((root) => join(root, path))
    return paths.find((one) => existsSync(one)) ?? paths.at(-1) ?? path
  }

  /** What is in files that the agent's pod does not have cannot be told there; one of `kubectl debug` has all. @throws Error */
  needNode(): void {
    if (!this.#roots.includes(this.#mounted) || !existsSync(this.#mounted)) return
    if (!existsSync(join(this.#mounted, 'usr')))
      throw new Error(
        'the pod does not see those files of the node: one of kubectl debug does (docs/troubleshooting.md has the command)',
      )
  }

  has(path: string): boolean {
    return existsSync(this.path(path))
  }

  read(path: string): string | undefined {
    try {
      return readFileSync(this.path(path), 'utf8')
    } catch {
      return undefined
    }
  }

  /** The names in a folder, in order. */
  list(path: string): string[] {
    try {
      return readdirSync(this.path(path)).sort()
    } catch {
      return []
    }
  }
}
