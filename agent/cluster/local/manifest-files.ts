import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { ObjectError } from '../object-fields.ts'
import { type ManifestObject, manifestObjects } from './manifest-objects.ts'

/** The clock of a file system may stand still for so long (FAT: two seconds), while a file changes and keeps its size. */
const FRESH_MS = 3_000

/** Documents of one file, as plain values. @throws Error with a message of one line */
export type ParseManifests = (text: string) => unknown[]

/** One file, as it was read last. */
export interface Manifest {
  /** While it is the same, so is the file, if it was read long enough after the stamp was new; empty: to be read again. */
  readonly stamp: string
  /** When this stamp was seen first. */
  readonly stampedAtMs: number
  readonly readAtMs: number
  /** What it said when it could last be read; absent: it never could. While that is the same, so is this. */
  readonly objects: readonly ManifestObject[] | undefined
  readonly problem: string | undefined
}

/**
 * The manifests of a folder, by name, in order. Only what has changed since `before` is read; what a file said when it
 * could last be read stays while it cannot be.
 * @throws SystemError when the folder cannot be read
 */
export function readManifests(
  folder: string,
  before: ReadonlyMap<string, Manifest>,
  parse: ParseManifests,
): ReadonlyMap<string, Manifest> {
  const names = readdirSync(folder).filter((name) => /^[^.].*\.(ya?ml|json)$/.test(name))
  return new Map(names.sort().map((name) => [name, readManifest(join(folder, name), before.get(name), parse)]))
}

function readManifest(path: string, before: Manifest | undefined, parse: ParseManifests): Manifest {
  try {
    const stamp = stampOf(path)
    const isSame = before !== undefined && stamp === before.stamp
    if (isSame && before.readAtMs - before.stampedAtMs > FRESH_MS) return before
    const readAtMs = performance.now()
    const stampedAtMs = isSame ? before.stampedAtMs : readAtMs
    const objects = manifestObjects(parse(readFileSync(path, 'utf8')), before?.objects ?? [])
    return { stamp, stampedAtMs, readAtMs, objects, problem: undefined }
  } catch (error) {
    const kept = before?.objects ? '; what it said before stays in force' : ''
    const problem = `${(error as Error).message}${kept}`
    return { stamp: '', stampedAtMs: 0, readAtMs: 0, objects: before?.objects, problem }
  }
}

/** @throws SystemError, ObjectError */
function stampOf(path: string): string {
  const stats = statSync(path)
  if (!stats.isFile()) throw new ObjectError('is no file') // a pipe would be waited for, and the agent with it
  const { dev, ino, size, ctimeMs } = stats
  return `${dev} ${ino} ${size} ${ctimeMs}`
}
