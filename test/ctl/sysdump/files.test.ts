import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { CONTENTS } from '../../../ctl/sysdump/contents.ts'
import { folderFiles, listing, processes, settings, tailOf } from '../../../ctl/sysdump/files.ts'

t.test('of a file that is too long the end is taken, and that is said', (t) => {
  const path = join(t.testdir({ log: 'one two three' }), 'log')
  t.same(tailOf(path, 5), { text: 'three', remark: 'its last 5 of 13 bytes' })
  t.same(tailOf(path, 13), { text: 'one two three' })
  t.match(tailOf('/proc/net/snmp', 1 << 20).text, /^Ip: /, 'and of /proc what is there, though it says 0 bytes')
  t.end()
})

t.test('a pipe or a device in the place of a file keeps nobody waiting', (t) => {
  const dir = t.testdir()
  execFileSync('mkfifo', [join(dir, 'pipe')])
  t.throws(() => tailOf(join(dir, 'pipe'), 100), /no regular file/)
  t.throws(() => tailOf('/dev/zero', 100), /no regular file/)
  t.end()
})

t.test('names of files are made safe for an archive, and each stays another one', (t) => {
  const dir = t.testdir()
  const names = ['..evil.conf', 'a\nb.conf', 'a\tb.conf', `${'long'.repeat(40)}.conf`, 'ünïcode.conf', 'kubeconfig']
  for (const name of names) writeFileSync(join(dir, name), '')
  symlinkSync('/etc/shadow', join(dir, 'link.conf'))
  mkdirSync(join(dir, 'deep/deeper/deepest'), { recursive: true })
  writeFileSync(join(dir, 'deep/deeper/x.conf'), '')
  writeFileSync(join(dir, 'deep/deeper/deepest/y.conf'), '')
  const found = folderFiles(dir, /\.conf$/, 10)
  t.equal(found.length, 6, 'no link, nothing deeper, no other name')
  t.equal(new Set(found.map(({ name }) => name)).size, 6)
  for (const { name } of found) t.match(name, /^[\w+~-][\w.+~-]{0,98}$/)
  t.equal(folderFiles(dir, /\.conf$/, 2).length, 2)
  const text = listing(dir)
  t.match(text, '"link.conf" -> "/etc/shadow"')
  t.match(text, '"a\\nb.conf"', 'one line each')
  t.end()
})

t.test('settings are named as sysctl names them, links with dots in their names too', (t) => {
  t.match(settings(['net/ipv4/conf/*/rp_filter', 'net/no/such']), /^net\.ipv4\.conf\.lo\.rp_filter = [012]$/m)
  t.end()
})

t.test('what podman and kubectl are told is left out: it has passwords in it', async (t) => {
  const item = CONTENTS.find(({ kind }) => kind === 'processes')
  if (item?.kind !== 'processes') throw new Error('no processes are in the archive')
  const commands = [
    ['podman', 'run', '-e', 'DB=Planted'],
    ['sudo', 'podman', 'login', '-p', 'Planted'],
    ['sudo', 'k3s', 'kubectl', 'create', '--from-literal=a=Planted'],
    ['kubelet', 'node', '--node-ip=192.0.2.1'],
  ]
  const dir = t.testdir()
  const env = { POSIXLY_CORRECT: '1' } // no options behind the first file
  for (const [argv0 = '', first = '', ...more] of commands) {
    execFileSync('mkfifo', [join(dir, first)]) // to keep it waiting
    const child = spawn('/bin/cat', [first, ...more], { argv0, cwd: dir, env, stdio: 'ignore' })
    t.teardown(() => child.kill('SIGKILL'))
    await once(child, 'spawn')
  }
  const text = processes(item.names, item.nameAlone)
  t.notMatch(text, 'Planted')
  t.match(text, /^\d+ podman …$/m)
  t.match(text, /^\d+ kubelet node --node-ip=192\.0\.2\.1$/m)
  t.end()
})

t.end()
