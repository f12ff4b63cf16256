/**
 * A tar archive as a value: what an image of one file needs, and no more (POSIX.1-1988 ustar: names up to 100 bytes,
 * files up to 8 GiB).
 */
const BLOCK_BYTES = 512

export type TarEntry =
  | { readonly path: string; readonly type: 'directory' }
  | { readonly path: string; readonly type: 'file'; readonly content: Buffer; readonly executable?: boolean }

const TYPE_FLAG = { file: '0', directory: '5' } as const

export function tar(entries: readonly TarEntry[]): Buffer {
  return Buffer.concat([...entries.flatMap(encode), Buffer.alloc(2 * BLOCK_BYTES)])
}

function encode(entry: TarEntry): Buffer[] {
  const content = entry.type === 'file' ? entry.content : Buffer.alloc(0)
  const mode = entry.type !== 'file' || entry.executable ? 0o755 : 0o644
  const header = Buffer.alloc(BLOCK_BYTES)
  header.write(entry.path, 0)
  header.write(octal(mode, 8), 100)
  header.write(octal(0, 8), 108) // user
  header.write(octal(0, 8), 116) // group
  header.write(octal(content.length, 12), 124)
  header.write(octal(0, 12), 136) // changed 1970-01-01, so that the same content has the same digest
  header.write(' '.repeat(8), 148) // the checksum counts its own field as spaces
  header.write(TYPE_FLAG[entry.type], 156)
  header.write('ustar\0' + '00', 257)
  header.write(octal(checksum(header), 8), 148)
  return [header, content, Buffer.alloc(-content.length & (BLOCK_BYTES - 1))]
}

function octal(value: number, widthBytes: number): string {
  return `${value.toString(8).padStart(widthBytes - 1, '0')}\0`
}

function checksum(header: Buffer): number {
  return header.reduce((sum, byte) => sum + byte, 0)
}
