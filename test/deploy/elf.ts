/**
 * Of an ELF file what a loader has to know: on how large pages it can be mapped, and which libraries it needs.
 * include/uapi/linux/elf.h; 64 bits, little endian.
 */
const PT_LOAD = 1
const PT_DYNAMIC = 2
const DT_NEEDED = 1n
const DT_STRTAB = 5n
const MACHINE: Readonly<Record<number, string>> = { 62: 'amd64', 183: 'arm64' }

export interface Elf {
  readonly machine: string | undefined
  /** The smallest of its segments': the largest page that the kernel may have. */
  readonly alignmentBytes: number
  readonly needed: readonly string[]
}

/** @returns undefined for what is not an ELF file */
export function readElf(file: Buffer): Elf | undefined {
  if (file.length < 64 || file.readUInt32BE(0) !== 0x7f45_4c46) return undefined
  const start = Number(file.readBigUInt64LE(32))
  const segments = Array.from({ length: file.readUInt16LE(56) }, (_, index) => {
    const at = start + index * file.readUInt16LE(54)
    const field = (offset: number) => Number(file.readBigUInt64LE(at + offset))
    return {
      type: file.readUInt32LE(at),
      offset: field(8),
      address: field(16),
      fileBytes: field(32),
      alignment: field(48),
    }
  })
  const loaded = segments.filter(({ type }) => type === PT_LOAD)
  const entries = segments.filter(({ type }) => type === PT_DYNAMIC).flatMap((dynamic) => pairs(file, dynamic))
  const texts = Number(entries.find(([tag]) => tag === DT_STRTAB)?.[1] ?? 0)
  const holder = loaded.find(({ address, fileBytes }) => texts >= address && texts < address + fileBytes)
  return {
    machine: MACHINE[file.readUInt16LE(18)],
    alignmentBytes: Math.min(...loaded.map(({ alignment }) => alignment)),
    needed: entries
      .filter(([tag]) => tag === DT_NEEDED)
      .map(([, index]) => textAt(file, texts - (holder?.address ?? 0) + (holder?.offset ?? 0) + Number(index))),
  }
}

function pairs(file: Buffer, { offset, fileBytes }: { offset: number; fileBytes: number }): [bigint, bigint][] {
  return Array.from({ length: fileBytes / 16 }, (_, index) => {
    const at = offset + index * 16
    return [file.readBigUInt64LE(at), file.readBigUInt64LE(at + 8)]
  })
}

function textAt(file: Buffer, offset: number): string {
  return file.toString('latin1', offset, file.indexOf(0, offset))
}
