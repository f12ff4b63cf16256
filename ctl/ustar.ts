/**
 * One entry of a tar archive after the other (POSIX.1-1988 ustar: paths up to 255 bytes, files up to 8 GiB). All belongs
 * to root. Pure; images and packages are written by it too.
 */
const BLOCK_BYTES = 512
const NAME_BYTES = 100
const PREFIX_BYTES = 155

export interface UstarEntry {
  /** Without a slash at either end. */
  readonly path: string
  readonly type: 'file' | 'symlink' | 'directory'
  readonly mode: number
  readonly changedAtSeconds: number
  /** Of a file. */
  readonly content?: Buffer
  /** Of a symlink. */
  readonly target?: string
}

const TYPE_FLAG = { file: '0', symlink: '2', directory: '5' } as const

/**
 * @returns its header, its content as it is, since images have large ones, and zeros up to the next block
 * @throws RangeError when a path is too long for the format
 */
export function ustarEntry(entry: UstarEntry): Buffer[] {
  const { path, type, mode, changedAtSeconds, content = Buffer.alloc(0), target = '' } = entry
  const [prefix, name] = split(type === 'directory' ? `${path}/` : path)
  if (Buffer.byteLength(target) > NAME_BYTES)
    throw new RangeError(`the link ${path} leads too far for a tar: ${target}`)

  const header = Buffer.alloc(BLOCK_BYTES)
  header.write(name, 0)
  header.write(octal(mode, 8), 100)
  header.write(octal(0, 8), 108) // user
  header.write(octal(0, 8), 116) // group
  header.write(octal(content.length, 12), 124)
  header.write(octal(changedAtSeconds, 12), 136)
  header.write(' '.repeat(8), 148) // the checksum counts its own field as spaces
  header.write(TYPE_FLAG[type], 156)
  header.write(target, 157)
  header.write('ustar\0' + '00', 257)
  header.write(prefix, 345)
  header.write(octal(checksum(header), 8), 148)
  return [header, content, Buffer.alloc(-content.length & (BLOCK_BYTES - 1))]
}

export function ustarEnd(): Buffer {
  return Buffer.alloc(2 * BLOCK_BYTES)
}

/** A long path is two fields, with a slash between them that is in neither. */
function split(path: string): [prefix: string, name: string] {
  if (Buffer.byteLength(path) <= NAME_BYTES) return ['', path]
  for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
    const [prefix, name] = [path.slice(0, at), path.slice(at + 1)]
    if (name !== '' && Buffer.byteLength(name) <= NAME_BYTES && Buffer.byteLength(prefix) <= PREFIX_BYTES)
      return [prefix, name]
  }
  throw new RangeError(`a path is too long for a tar: ${path}`)
}

/** A clock may stand before 1970. */
function octal(value: number, widthBytes: number): string {
  return `${Math.max(0, Math.floor(value))
    .toString(8)
    .padStart(widthBytes - 1, '0')}\0`
}

function checksum(header: Buffer): number {
  return header.reduce((sum, byte) => sum + byte, 0)
}
