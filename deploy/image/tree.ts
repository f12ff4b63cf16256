import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { TarEntry } from './tar.ts'

/**
 * What is below a folder, sorted by path. Of the modes only x counts, so that nobody's umask does.
 * @param isKept is asked for each path, without a slash at its beginning; of a folder that is not kept, nothing is
 * @throws Error for what is neither folder, file nor link
 */
export function readTree(folder: string, isKept: (path: string) => boolean = () => true): TarEntry[] {
  return below(folder, '', isKept)
}

function below(folder: string, parent: string, isKept: (path: string) => boolean): TarEntry[] {
  const paths = readdirSync(join(folder, parent)).map((name) => (parent === '' ? name : `${parent}/${name}`))
  return paths
    .filter(isKept)
    .sort(byBytes)
    .flatMap((path): TarEntry[] => {
      const place = join(folder, path)
      const stat = lstatSync(place)
      if (stat.isDirectory()) return [{ path, type: 'directory' }, ...below(folder, path, isKept)]
      if (stat.isSymbolicLink()) return [{ path, type: 'symlink', target: readlinkSync(place) }]
      if (!stat.isFile()) throw new Error(`${place} is neither a folder, a file nor a link: it cannot be in an image`)
      return [{ path, type: 'file', content: readFileSync(place), executable: (stat.mode & 0o111) !== 0 }]
    })
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
