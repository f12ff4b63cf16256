import { readFileSync } from 'node:fs'
import t from 'tap'
import { needsLoader } from '../../../agent/install/elf.ts'

t.test('a program with a loader is told from one without', (t) => {
  t.ok(needsLoader(readFileSync(process.execPath)))
  t.notOk(needsLoader(elf(1, 2)), 'PT_LOAD and PT_DYNAMIC')
  t.ok(needsLoader(elf(1, 3)), 'PT_INTERP')
  t.end()
})

t.test('what is no whole program needs no loader', (t) => {
  for (const content of ['', '#!/bin/sh\n', '\x7fELF']) t.notOk(needsLoader(Buffer.from(content)))
  t.notOk(needsLoader(elf(1, 3).subarray(0, 64)), 'its segments are cut off')
  t.end()
})

/** Headers alone, of segments of these types. */
function elf(...types: number[]): Buffer {
  const file = Buffer.alloc(64 + types.length * 56)
  file.writeUInt32BE(0x7f454c46)
  file.writeBigUInt64LE(64n, 32)
  file.writeUInt16LE(56, 54)
  file.writeUInt16LE(types.length, 56)
  for (const [index, type] of types.entries()) file.writeUInt32LE(type, 64 + index * 56)
  return file
}
