/** include/uapi/linux/elf.h; all that we run on has 64 bits and is little endian. Pure. */
const MAGIC = 0x7f454c46
const HEADER_BYTES = 64
const PT_INTERP = 3

/** Whether a program starts only where its loader is, and the libraries that this finds: it is not linked statically. */
export function needsLoader(program: Buffer): boolean {
  if (program.length < HEADER_BYTES || program.readUInt32BE(0) !== MAGIC) return false
  const [start, entryBytes, count] = [program.readBigUInt64LE(32), program.readUInt16LE(54), program.readUInt16LE(56)]
  for (let index = 0; index < count; index++) {
    const at = Number(start) + index * entryBytes
    if (at + 4 <= program.length && program.readUInt32LE(at) === PT_INTERP) return true
  }
  return false
}
