import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeWritable } from '../../agent/folders.ts'

t.test('folders that are not there are made', async (t) => {
  const dir = t.testdir()
  makeWritable([join(dir, 'a', 'b'), dir])
  makeWritable([join(dir, 'a', 'b')])
  t.pass()
})

t.test('one that cannot be written is named', async (t) => {
  const dir = t.testdir()
  writeFileSync(join(dir, 'file'), '')
  const folder = join(dir, 'file', 'below')
  t.throws(() => makeWritable([dir, folder]), { code: 'FOLDER', folder, message: /cannot be written: ENOTDIR/ })
})
