import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { ObjectError } from '../object-fields.ts'
import type { ParsedDocument } from '../yaml.ts'
import { type ManifestObject, manifestObjects } from './manifest-objects.ts'

/** The clock of a file system may stand still for so long (FAT: two seconds), while a file changes and keeps its size. */
const FRESH_MS = 3_000

/** Ten thousand pods as JSON are a tenth of it. */
const FILE_BYTES_MAX = 64 * 1024 * 1024

/** The documents of one file. */
export type ParseManifests = (text: string) => ParsedDocument[]

/** One file, as it was read last. */
export interface Manifest {
  /** While it is the same, so is the file, if it was read long enough after the stamp was new; empty: to be read again. */
  readonly stamp: string
  /** When this stamp was seen first. */
  readonly stampedAtMs: number
  readonly readAtMs: number
  /** What it said when it could last be read; absent: it never could. While that is the same, so is this. */
  readonly objects: readonly ManifestObject[] | undefined
  /** All of it could be read once: nothing is in force that nobody knows of. */
  readonly hasBeenWhole: boolean
  /** Of the file, and of single documents. */
  readonly problems: readonly string[]
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
    const { objects, problems } = manifestObjects(parse(readFileSync(path, 'utf8')), before?.objects ?? [])
    const hasBeenWhole = problems.length === 0 || before?.hasBeenWhole === true
    return {
      stamp,
      stampedAtMs,
      readAtMs,
      objects,
      hasBeenWhole,
      problems: problems.map(withFate(before?.hasBeenWhole)),
    }
  } catch (error) {
    const { objects, hasBeenWhole = false } = before ?? {}
    const problems = [(error as Error).message].map(withFate(objects !== undefined))
    return { stamp: '', stampedAtMs: 0, readAtMs: 0, objects, hasBeenWhole, problems }
  }
}

function withFate(staysInForce = false): (problem: string) => string {
  return (problem) => (staysInForce ? `${problem}; what it said before stays in force` : problem)
}

/** @throws SystemError, ObjectError */
function stampOf(path: string): string {
  const stats = statSync(path)
  if (!stats.isFile()) throw new ObjectError('is no file') // a pipe would be waited for, and the agent with it
  const { dev, ino, size, ctimeMs } = stats
  if (size > FILE_BYTES_MAX) throw new ObjectError(`is larger than ${FILE_BYTES_MAX} bytes; write several files`)
  return `${dev} ${ino} ${size} ${ctimeMs}`
}
