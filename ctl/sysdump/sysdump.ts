import type { Archive } from './archive.ts'
import { type CollectOptions, collect, type Part } from './collect.ts'
import type { Item } from './contents.ts'
import { type Heading, type IndexLine, renderIndex } from './index-text.ts'
import { redact } from './redact.ts'
import { knownSecrets } from './secrets.ts'

/** A Pi has few cores, and most of it waits. */
const AT_ONCE = 4
const PROGRAM_TIMEOUT_MS = 10_000
const PART_BYTES_MAX = 4 << 20
/** Of all together, before they are compressed: it has to go into somebody's mail. */
const TOTAL_BYTES_MAX = 48 << 20

/**
 * Writes all that can be had, each as it comes, and the index last.
 * @param folder in the archive
 * @throws ArchiveError
 */
export async function sysdump(
  archive: Pick<Archive, 'add' | 'end'>,
  folder: string,
  heading: Heading,
  items: readonly Item[],
  socket: string,
): Promise<{ files: number; missing: number }> {
  const secrets = knownSecrets()
  const options: CollectOptions = { socket, programTimeoutMs: PROGRAM_TIMEOUT_MS, partBytesMax: PART_BYTES_MAX }
  const lines = new Map<Item, IndexLine[]>()
  let totalBytes = 0
  const add = async ({ path, text, from, remark }: Part): Promise<IndexLine> => {
    const told = { path, from: redact(from, secrets), ...(remark && { remark: redact(remark, secrets) }) }
    if (text === undefined) return told
    if (totalBytes + text.length > TOTAL_BYTES_MAX) return { ...told, remark: 'left out: the archive is large enough' }
    totalBytes += text.length
    return { ...told, bytes: await archive.add(`${folder}/${path}`, redact(text, secrets)) }
  }
  const waiting = [...items]
  const work = async () => {
    for (let item = waiting.shift(); item; item = waiting.shift()) {
      const own: IndexLine[] = []
      for (const part of await collect(item, options)) own.push(await add(part))
      lines.set(item, own)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  const all = items.flatMap((item) => lines.get(item) ?? [])
  await archive.add(`${folder}/INDEX.txt`, renderIndex(heading, all))
  await archive.end()
  const files = all.filter(({ bytes }) => bytes !== undefined).length
  return { files, missing: all.length - files }
}
