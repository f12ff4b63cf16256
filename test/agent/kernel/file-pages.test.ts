import { execFile } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import t from 'tap'
import { forgetFilePages, unwrittenMappings } from '../../../agent/kernel/file-pages.ts'

const run = promisify(execFile)

const mapping = (line: string, anonymousKb = 0, swapKb = 0) =>
  `${line}
Size:                 40 kB
Rss:                  40 kB
Anonymous:      ${`${anonymousKb}`.padStart(8)} kB
AnonHugePages:         0 kB
Swap:           ${`${swapKb}`.padStart(8)} kB
SwapPss:               0 kB
VmFlags: rd ex mr mw me
`

t.test('what is dropped is what can be read from its file again', async (t) => {
  const file = '00:1c 77                     /opt/bramble/lib/node'
  for (const [what, line] of [
    ['code', `00746000-0074a000 r-xp 00346000 ${file}`],
    ['constants', `00746000-0074a000 r--p 00346000 ${file}`],
    ['a program that was replaced', `00746000-0074a000 r-xp 00346000 ${file} (deleted)`],
  ] as const)
    t.same(unwrittenMappings(mapping(line)), [{ start: 0x746000n, end: 0x74a000n }], what)
})

t.test('what is nowhere else stays', async (t) => {
  const file = '00:1c 77                     /opt/bramble/lib/node'
  for (const [what, smaps] of [
    ['variables', mapping(`00746000-0074a000 rw-p 00346000 ${file}`)],
    ['constants that were relocated', mapping(`00746000-0074a000 r--p 00346000 ${file}`, 4)],
    ['… and are swapped out', mapping(`00746000-0074a000 r--p 00346000 ${file}`, 0, 4)],
    ['code that was made while it ran', mapping('7f0000746000-7f000074a000 r-xp 00000000 00:00 0 ')],
    ['the kernel’s own', mapping('7ffe00746000-7ffe00748000 r-xp 00000000 00:00 0                  [vdso]')],
  ] as const)
    t.same(unwrittenMappings(smaps + mapping('7f0000000000-7f0000001000 rw-p 00000000 00:00 0 ')), [], what)
})

t.test('it takes most of the program out of the memory of the process, and everything goes on', async (t) => {
  const rssFileKb = () => Number(readFileSync('/proc/self/status', 'utf8').match(/^RssFile:\s+(\d+)/m)?.[1])
  const before = rssFileKb()
  forgetFilePages()
  t.ok(rssFileKb() < before * 0.6, `${before} kB, then ${rssFileKb()} kB`)
  t.equal(JSON.stringify(structuredClone({ a: new Date(0).toISOString() })), '{"a":"1970-01-01T00:00:00.000Z"}')
})

t.test('where nobody can read what is mapped everything stays, and goes on', async (t) => {
  const descriptors: number[] = []
  await run('prlimit', ['--pid', String(process.pid), '--nofile=256:'])
  try {
    for (;;) descriptors.push(openSync('/dev/null', 'r'))
  } catch (error) {
    t.match(error, { code: 'EMFILE' })
  }
  t.throws(() => readFileSync('/proc/self/smaps'), { code: 'EMFILE' })
  t.doesNotThrow(forgetFilePages)
  for (const fd of descriptors) closeSync(fd)
})
