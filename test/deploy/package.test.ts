import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import t from 'tap'
import { architectureOf } from '../../deploy/image/architecture.ts'
import { VERSION } from '../../deploy/image/bundle.ts'
import { checksums, makePackage } from '../../deploy/package/build.ts'
import { until } from '../kernel/agent.ts'
import { capture, enterScratchNode, run } from '../kernel/scratch.ts'

await enterScratchNode()
await run('mount', '-t', 'tmpfs', 'tmpfs', '/opt') // where install.sh would write, if it were wrong
const folder = mkdtempSync(join(tmpdir(), 'bramble-package-test-'))
t.teardown(() => rmSync(folder, { recursive: true }))
const archive = await makePackage(architectureOf(process.arch === 'x64' ? 'amd64' : process.arch), folder)
await run('tar', '-xzf', archive, '-C', folder)
const unpacked = archive.replace('.tar.gz', '')
const root = join(folder, 'root')
mkdirSync(root)
const install = () => run('env', `DESTDIR=${root}`, join(unpacked, 'install.sh'))

t.test('the package is one folder, and its checksum is one that sha256sum knows', async (t) => {
  t.equal(basename(archive), `bramble-${VERSION}-linux-${process.arch === 'x64' ? 'amd64' : process.arch}.tar.gz`)
  writeFileSync(join(folder, 'SHA256SUMS'), checksums([archive]))
  t.match(await run('sh', '-c', 'cd "$0" && sha256sum --check SHA256SUMS', folder), /: OK$/m)
  t.same(readdirSync(unpacked).sort(), [
    '10-bramble.conflist',
    'agent.yaml',
    'bin',
    'bramble-agent.service',
    'install.sh',
    'lib',
    'share',
  ])
  const { packages } = JSON.parse(readFileSync(join(unpacked, 'share/sbom.spdx.json'), 'utf8'))
  t.ok(packages.some(({ name }: { name: string }) => name === 'koffi'))
})

t.test('install.sh puts all in its place, and what it has put there runs', async (t) => {
  await install()
  for (const path of ['opt/cni/bin/bramble', 'etc/systemd/system/bramble-agent.service', 'etc/bramble/agent.yaml'])
    t.ok(statSync(join(root, path)).isFile(), path)
  t.equal(statSync(join(root, 'etc/bramble/agent.yaml')).mode & 0o777, 0o600, 'it may hold a password')
  t.notOk(existsSync(join(root, 'etc/cni/net.d')), 'the network configuration is put last, by who installs')
  t.equal((await run(join(root, 'opt/bramble/bin/bramblectl'), '--version')).trim(), VERSION)
  const unit = readFileSync(join(root, 'etc/systemd/system/bramble-agent.service'), 'utf8')
  const [, program = ''] = /^ExecStart=(\S+)/m.exec(unit) ?? []
  t.ok(existsSync(join(root, program)), 'the unit starts what is there')
})

t.test('installed once more while all of it runs, it keeps what was configured', async (t) => {
  writeFileSync(join(root, 'etc/bramble/agent.yaml'), 'pod-cidr: 10.1.0.0/24\n')
  const args = ['KILL', join(root, 'opt/bramble/bin/bramble-agent'), '--config', join(root, 'etc/bramble/agent.yaml')]
  const agent = spawn('setpriv', ['--pdeathsig', ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let log = ''
  agent.stdout.setEncoding('utf8').on('data', (text: string) => (log += text))
  await until('the agent is ready', () => log.includes('"msg":"ready"'))
  // Waits for the rest of its standard input: a file that is being run cannot be written to.
  const plugin = spawn(join(root, 'opt/cni/bin/bramble'), { env: { CNI_COMMAND: 'VERSION' }, stdio: 'pipe' })
  plugin.stdin.on('error', () => {})

  const inode = (path: string) => statSync(join(root, path)).ino
  const before = inode('opt/cni/bin/bramble')
  await install()
  t.not(inode('opt/cni/bin/bramble'), before)
  t.equal(readFileSync(join(root, 'etc/bramble/agent.yaml'), 'utf8'), 'pod-cidr: 10.1.0.0/24\n')
  t.same(readdirSync(join(root, 'opt')).sort(), ['bramble', 'bramble.old', 'cni'])
  t.same(readdirSync(join(root, 'opt/cni/bin')), ['bramble'], 'nothing half done is left')
  t.match(await run(join(root, 'opt/bramble/bin/bramblectl'), 'status'), 'health           good')

  plugin.stdin.end()
  const exited = once(agent, 'exit')
  agent.kill('SIGTERM')
  t.same(await exited, [0, null])
})

t.test('what README.md and docs/uninstall.md remove is all that install.sh has put there', async (t) => {
  const removals = ['README.md', 'docs/uninstall.md'].map((page) => {
    const text = readFileSync(page, 'utf8')
    return /^sudo (rm -rf \/opt\/bramble \/.*)$/m.exec(text)?.[1] ?? t.fail(`${page} has no such command`)
  })
  t.equal(removals[0], removals[1])
  await run('sh', '-c', String(removals[1]).replaceAll(' /', ` ${root}/`))
  // The plugin is what `bramble-agent uninstall` removes, named before.
  t.same(
    (await run('find', root, '(', '-type', 'f', '-o', '-type', 'l', ')')).trim(),
    join(root, 'opt/cni/bin/bramble'),
  )
})

t.test('on a machine that it is not for, install.sh says so and writes nothing', async (t) => {
  writeFileSync(join(unpacked, 'share/architecture'), process.arch === 'x64' ? 'arm64\n' : 'amd64\n')
  const { exitCode, stderr } = await capture(join(unpacked, 'install.sh'), [])
  t.equal(exitCode, 1)
  t.match(stderr, /this package is for (aarch64|x86_64), and this is a (x86_64|aarch64) machine: take the other one/)
  t.same(readdirSync('/opt'), [])
})
