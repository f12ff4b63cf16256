import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t from 'tap'
import { files } from '../../../agent/cleanup/files.ts'

const listed = async (stateDir: string, socket = join(stateDir, 'agent.sock')) =>
  (await files({ stateDir, socket }).list()).map(({ text }) => text.replaceAll(dirname(stateDir), ''))

async function cleaned(stateDir: string): Promise<string[]> {
  const step = files({ stateDir, socket: join(stateDir, 'agent.sock') })
  const errors = await step.remove(await step.list())
  return errors.flatMap((error) => error?.message ?? [])
}

function put(folder: string, names: readonly string[], mode = 0o600): void {
  mkdirSync(folder, { recursive: true })
  for (const name of names) {
    writeFileSync(join(folder, name), '')
    chmodSync(join(folder, name), mode)
  }
}

t.test('the files of an agent go, and then the folders that held them', async (t) => {
  const dir = join(t.testdir(), 'bramble')
  put(dir, ['lock', 'freed', 'freed.new'])
  put(join(dir, 'pending'), ['c1:eth0', 'c2:net1'])
  t.same((await listed(dir)).sort(), [
    'file /bramble/freed',
    'file /bramble/freed.new',
    'file /bramble/lock',
    'file /bramble/pending/c1:eth0',
    'file /bramble/pending/c2:net1',
    'folder /bramble',
    'folder /bramble/pending',
  ])
  t.same(await cleaned(dir), [])
  t.same(readdirSync(dirname(dir)), [])
  t.same(await listed(dir), [], 'and there is nothing more')
})

t.test('a file that is not ours stays, and so does its folder', async (t) => {
  const dir = join(t.testdir(), 'bramble')
  put(dir, ['freed', 'lock', 'notes.txt'])
  put(join(dir, 'pending'), ['c1:eth0', 'README', '..:eth0', 'a:b:c'])
  writeFileSync(join(dir, 'pending', 'c3:eth0'), 'not empty', { mode: 0o600 })
  t.same(await cleaned(dir), [])
  t.same(readdirSync(dir).sort(), ['notes.txt', 'pending'])
  t.same(readdirSync(join(dir, 'pending')).sort(), ['..:eth0', 'README', 'a:b:c', 'c3:eth0'])
})

t.test("a lock among another program's files is that program's, as in /var/lib/dpkg", async (t) => {
  const dir = join(t.testdir(), 'dpkg')
  put(dir, ['lock', 'status'])
  t.same(await listed(dir), [])
})

t.test('names of ours that others may read, that are links, or folders, are not ours', async (t) => {
  const dir = join(t.testdir(), 'bramble')
  put(dir, ['lock'], 0o640)
  put(dir, ['victim'])
  symlinkSync(join(dir, 'victim'), join(dir, 'freed'))
  mkdirSync(join(dir, 'agent.sock'))
  t.same(await listed(dir), [])
})

t.test('a link in the place of the pending folder is not followed', async (t) => {
  const dir = join(t.testdir(), 'bramble')
  const elsewhere = join(t.testdirName, 'elsewhere')
  put(dir, ['freed'])
  put(elsewhere, ['c1:eth0'])
  symlinkSync(elsewhere, join(dir, 'pending'))
  t.same(await listed(dir), ['file /bramble/freed'])
})

t.test('a socket that lies elsewhere goes with the notes beside it', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'bramble-')) // a socket's path must be short
  t.teardown(() => rmSync(root, { recursive: true }))
  const socket = join(root, 'sockets', 's')
  put(join(root, 'bramble'), ['lock'])
  put(join(root, 'sockets', 'pending'), ['c1:eth0'])
  const umask = process.umask(0o177)
  const server = createServer().listen(socket)
  await new Promise((resolve) => server.once('listening', resolve))
  process.umask(umask)
  t.teardown(() => server.close())
  t.same(await listed(join(root, 'bramble'), socket), [
    'file /bramble/lock',
    'folder /bramble',
    'file /sockets/pending/c1:eth0',
    'folder /sockets/pending',
    'file /sockets/s',
    'folder /sockets',
  ])
})

t.test('an agent that was killed while it waited for its pod CIDR leaves a socket, which goes, too', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'brm-')) // a socket's path is short
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  const dir = join(root, 'bramble')
  put(dir, ['lock'])
  const umask = process.umask(0o177)
  const server = createServer().listen(join(dir, 'starting.sock'))
  await new Promise((resolve) => server.once('listening', resolve))
  process.umask(umask)
  t.teardown(() => server.close())
  t.same(await cleaned(dir), [])
  t.same(readdirSync(root), [])
})

t.test('what cannot be removed is told for itself, and the rest goes', async (t) => {
  const dir = join(t.testdir(), 'bramble')
  put(dir, ['lock', 'freed'])
  const step = files({ stateDir: dir, socket: join(dir, 'agent.sock') })
  const found = await step.list()
  put(dir, ['late'])
  const errors = await step.remove(found)
  t.match(
    errors.map((error) => error?.message),
    [undefined, undefined, /ENOTEMPTY/],
  )
  t.same(readdirSync(dir), ['late'])
})
