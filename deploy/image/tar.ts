/**
 * A tar archive as a value (POSIX.1-1988 ustar: paths up to 255 bytes, files up to 8 GiB). All belongs to root, and all
 * was changed in 1970: the same content is the same archive.
 */
const BLOCK_BYTES = 512
const NAME_BYTES = 100
const PREFIX_BYTES = 155

export type TarEntry =
  | { readonly path: string; readonly type: 'directory'; readonly mode?: number }
  | { readonly path: string; readonly type: 'file'; readonly content: Buffer; readonly executable?: boolean }
  | { readonly path: string; readonly type: 'symlink'; readonly target: string }

const TYPE_FLAG = { file: '0', symlink: '2', directory: '5' } as const

/**
 * @param entries in the order they are to have; paths without a slash at either end
 * @throws Error when a path is too long for the format
 */
export function tar(entries: readonly TarEntry[]): Buffer {
  return Buffer.concat([...entries.flatMap(encode), Buffer.alloc(2 * BLOCK_BYTES)])
}

function encode(entry: TarEntry): Buffer[] {
  const content = entry.type === 'file' ? entry.content : Buffer.alloc(0)
  const [prefix, name] = split(entry.type === 'directory' ? `${entry.path}/` : entry.path)
  const target = entry.type === 'symlink' ? entry.target : ''
  if (Buffer.byteLength(target) > NAME_BYTES)
    throw new Error(`the link ${entry.path} leads too far for a tar: ${target}`)

  const header = Buffer.alloc(BLOCK_BYTES)
  header.write(name, 0)
  header.write(octal(modeOf(entry), 8), 100)
  header.write(octal(0, 8), 108) // user
  header.write(octal(0, 8), 116) // group
  header.write(octal(content.length, 12), 124)
  header.write(octal(0, 12), 136) // changed
  header.write(' '.repeat(8), 148) // the checksum counts its own field as spaces
  header.write(TYPE_FLAG[entry.type], 156)
  header.write(target, 157)
  header.write('ustar\0' + '00', 257)
  header.write(prefix, 345)
  header.write(octal(checksum(header), 8), 148)
  return [header, content, Buffer.alloc(-content.length & (BLOCK_BYTES - 1))]
}

function modeOf(entry: TarEntry): number {
  if (entry.type === 'symlink') return 0o777
  if (entry.type === 'directory') return entry.mode ?? 0o755
  return entry.executable ? 0o755 : 0o644
}

/** A long path is two fields, with a slash between them that is in neither. */
function split(path: string): [prefix: string, name: string] {
  if (Buffer.byteLength(path) <= NAME_BYTES) return ['', path]
  for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
    const [prefix, name] = [path.slice(0, at), path.slice(at + 1)]
    if (name !== '' && Buffer.byteLength(name) <= NAME_BYTES && Buffer.byteLength(prefix) <= PREFIX_BYTES)
      return [prefix, name]
  }
  throw new Error(`a path is too long for a tar: ${path}`)
}

function octal(value: number, widthBytes: number): string {
  return `${value.toString(8).padStart(widthBytes - 1, '0')}\0`
}

function checksum(header: Buffer): number {
  return header.reduce((sum, byte) => sum + byte, 0)
}
