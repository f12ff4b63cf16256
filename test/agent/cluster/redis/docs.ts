import { readFileSync } from 'node:fs'

const TEXT = readFileSync(new URL('../../../../docs/redis.md', import.meta.url), 'utf8')

/** The words of the one line of docs/redis.md that begins so: what a person says in redis-cli. */
export function lineOfDocs(start: string): readonly [command: string, ...words: string[]] {
  const lines = TEXT.split('\n').filter((line) => line.startsWith(start))
  const [command, ...words] = lines[0]?.split(' ') ?? []
  if (lines.length !== 1 || command === undefined)
    throw new Error(`docs/redis.md has ${lines.length} lines of ${start}`)
  return [command, ...words]
}
