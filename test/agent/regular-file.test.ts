import { execFileSync } from 'node:child_process'
import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readRegularFile } from '../../agent/regular-file.ts'

t.test('a file is read whole, also one of the kernel', async (t) => {
  const dir = t.testdir({ file: 'mtu: 1400\n' })
  t.equal(readRegularFile(join(dir, 'file')).toString(), 'mtu: 1400\n')
  t.match(readRegularFile('/proc/self/status').toString(), /^Name:/)
})

t.test('what would be waited for, or has no end, is refused at once', async (t) => {
  const dir = t.testdir()
  const pipe = join(dir, 'pipe')
  execFileSync('mkfifo', [pipe])
  for (const path of [pipe, '/dev/zero', '/dev/tty', dir])
    t.throws(() => readRegularFile(path), { message: /no regular file|ENXIO/ }, path)
  const large = join(dir, 'large')
  writeFileSync(large, '')
  truncateSync(large, 1024 * 1024 + 1)
  t.throws(() => readRegularFile(large), { message: 'it is larger than 1048576 bytes' })
  t.throws(() => readRegularFile(join(dir, 'none')), { code: 'ENOENT' })
})
