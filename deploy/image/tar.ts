import { ustarEnd, ustarEntry } from '../../ctl/ustar.ts'

/** A tar archive as a value. All was changed in 1970: the same content is the same archive. */

export type TarEntry =
  | { readonly path: string; readonly type: 'directory'; readonly mode?: number }
  | { readonly path: string; readonly type: 'file'; readonly content: Buffer; readonly executable?: boolean }
  | { readonly path: string; readonly type: 'symlink'; readonly target: string }

/**
 * @param entries in the order they are to have; paths without a slash at either end
 * @throws RangeError when a path is too long for the format
 */
export function tar(entries: readonly TarEntry[]): Buffer {
  const pieces = entries.flatMap((entry) => ustarEntry({ ...entry, mode: modeOf(entry), changedAtSeconds: 0 }))
  return Buffer.concat([...pieces, ustarEnd()])
}

function modeOf(entry: TarEntry): number {
  if (entry.type === 'symlink') return 0o777
  if (entry.type === 'directory') return entry.mode ?? 0o755
  return entry.executable ? 0o755 : 0o644
}
