/** A tar archive of text files, piece by piece: POSIX.1-1988 ustar, with names of up to 100 bytes. Pure. */

const BLOCK_BYTES = 512
const PATH_BYTES_MAX = 100

export interface TarFile {
  readonly path: string
  readonly content: Buffer
  readonly changedAtSeconds: number
}

/** One file: its header, its content, and zeros up to the next block. @throws RangeError when the path is too long */
export function tarFile({ path, content, changedAtSeconds }: TarFile): Buffer {
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) throw new RangeError(`${path} is too long for a tar header`)
  const header = Buffer.alloc(BLOCK_BYTES)
  header.write(path, 0)
  header.write(octal(0o600, 8), 100)
  header.write(octal(0, 8), 108) // user
  header.write(octal(0, 8), 116) // group
  header.write(octal(content.length, 12), 124)
  header.write(octal(changedAtSeconds, 12), 136)
  header.write(' '.repeat(8), 148) // the checksum counts its own field as spaces
  header.write('0', 156) // a regular file
  header.write('ustar\0' + '00', 257)
  header.write(octal(sum(header), 8), 148)
  return Buffer.concat([header, content, Buffer.alloc(-content.length & (BLOCK_BYTES - 1))])
}

export function tarEnd(): Buffer {
  return Buffer.alloc(2 * BLOCK_BYTES)
}

function octal(value: number, widthBytes: number): string {
  return `${Math.max(0, Math.floor(value))
    .toString(8)
    .padStart(widthBytes - 1, '0')}\0`
}

function sum(header: Buffer): number {
  return header.reduce((total, byte) => total + byte, 0)
}
