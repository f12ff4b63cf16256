import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/** What package-lock.json has of a package. */
interface LockedPackage {
  readonly version: string
  /** Subresource Integrity: `sha512-` and base64. */
  readonly integrity: string
  readonly license?: string
  readonly dependencies?: Readonly<Record<string, string>>
}

export interface NpmPackage extends LockedPackage {
  readonly name: string
  /** Below node_modules: also of one that is not there. */
  readonly place: string
}

export class Lock {
  readonly #packages: Readonly<Record<string, LockedPackage>>
  readonly #project: string

  constructor(project: string) {
    this.#project = project
    this.#packages = JSON.parse(readFileSync(join(project, 'package-lock.json'), 'utf8')).packages
  }

  /** What these are made of: they, and all that they need to run, each once, by name. */
  closure(names: readonly string[]): NpmPackage[] {
    const found = new Map<string, NpmPackage>()
    const add = (name: string, from: string) => {
      const one = this.#find(name, from)
      if (found.has(one.place)) return
      found.set(one.place, one)
      for (const needed of Object.keys(one.dependencies ?? {})) add(needed, one.place)
    }
    for (const name of names) add(name, '')
    return [...found.values()].sort((a, b) => (a.place < b.place ? -1 : 1))
  }

  /** As Node looks for it: beside the one that needs it, then further up. */
  #find(name: string, from: string): NpmPackage {
    const place = from === '' ? `node_modules/${name}` : `${from}/node_modules/${name}`
    const locked = this.#packages[place]
    if (locked) return { name, place, ...locked }
    if (from === '') throw new Error(`package-lock.json has no ${name}: run npm install`)
    return this.#find(name, from.slice(0, Math.max(0, from.lastIndexOf('/node_modules/'))))
  }

  /**
   * The folder of a package: where npm has put it, or, when npm leaves it out here since it is for machines of another
   * architecture, in a cache of our own.
   * @throws Error when it cannot be had, or is not the one that was locked
   */
  folder(name: string): string {
    const { place, version, integrity } = this.#find(name, '')
    const installed = join(this.#project, place)
    if (existsSync(installed)) return installed
    const cache = join(this.#project, 'node_modules/.cache/npm')
    const kept = join(cache, `${name.replace('/', '+')}-${version}`)
    if (existsSync(kept)) return kept

    mkdirSync(cache, { recursive: true })
    const unfinished = mkdtempSync(join(cache, 'unfinished-'))
    try {
      const pack = ['pack', '--silent', '--pack-destination', unfinished, `${name}@${version}`]
      execFileSync('npm', pack, { cwd: this.#project, stdio: ['ignore', 'ignore', 'inherit'] })
      const [archive = ''] = globSync(join(unfinished, '*.tgz'))
      const found = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`
      if (found !== integrity) throw new Error(`it is ${found}, and package-lock.json has ${integrity}`)
      mkdirSync(join(unfinished, 'package'))
      execFileSync('tar', ['-xzf', archive, '-C', join(unfinished, 'package'), '--strip-components=1'])
      if (!existsSync(kept)) renameSync(join(unfinished, 'package'), kept) // whole or not at all
    } catch (error) {
      throw new Error(`${name} ${version} cannot be had: npm must reach a registry that has it`, { cause: error })
    } finally {
      rmSync(unfinished, { recursive: true })
    }
    return kept
  }
}
