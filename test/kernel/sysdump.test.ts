import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Agent } from './agent.ts'
import { addUplink } from './node.ts'
import { Pod } from './pod.ts'
import { capture, enterScratchNode, type Output, run } from './scratch.ts'

/** `bramblectl sysdump` on a node with a real agent: what is in the archive, and what must not be. */
const BRAMBLECTL = fileURLToPath(new URL('../../bin/bramblectl.ts', import.meta.url))

/** Secrets as they lie around on a node; none may be in the archive, in whatever file. */
const SECRETS = {
  redis: 'Planted-redis-1',
  token: 'Planted-token-2',
  inRule: 'Planted-redis-1',
  kubeconfig: 'Planted-kubeconfig-3',
  conflist: 'Planted-conflist-4',
  wireguard: `Planted5${'A'.repeat(34)}A=`,
}

/** As long as they really are: with the node's name before it no such path fits into 100 bytes. */
const UID = '0f5b8a2e-6c1d-4e7f-9a3b-5d2c8e1f4a6b'
const NODE_NAME = `rack-4.${'n'.repeat(48)}.example`

await enterScratchNode()
// /etc as it is, and what this test writes there is seen by nobody else.
for (const name of ['upper', 'work']) mkdirSync(`/run/etc/${name}`, { recursive: true })
await run('mount', '-t', 'overlay', 'etc', '-o', 'lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work', '/etc')
await run('mount', '-t', 'tmpfs', 'log', '/var/log')
await addUplink()
const agent = await Agent.start({ nodeName: NODE_NAME, env: { BRAMBLE_NO_MASQUERADE_CIDR: '198.51.100.0/24' } })
t.after(() => agent.stop())

mkdirSync('/etc/bramble', { recursive: true })
mkdirSync('/etc/cni/net.d', { recursive: true })
writeFileSync(
  '/etc/bramble/agent.yaml',
  `datastore: redis\nredis-url: redis://bramble:${SECRETS.redis}@192.0.2.9:6379\nadmin-token: ${SECRETS.token}\nmtu: 1400\n`,
)
writeFileSync('/etc/bramble/kubeconfig.yaml', `users:\n  - name: pi\n    user:\n      token: ${SECRETS.kubeconfig}\n`)
writeFileSync('/etc/cni/net.d/calico-kubeconfig', `token: ${SECRETS.kubeconfig}\n`)
writeFileSync(
  '/etc/cni/net.d/05-other.conflist',
  JSON.stringify({ name: 'other', plugins: [{ type: 'other', apiToken: SECRETS.conflist, mtu: 1333 }] }),
)
writeFileSync('/etc/cni/net.d/..\nhostile $(reboot).conf', '{"name":"hostile"}')
writeFileSync('/run/bramble/wireguard.key', `${SECRETS.wireguard}\n`, { mode: 0o600 })
for (const pod of [`kube-system_bramble-x7k2f_${UID}`, 'shop_web_1a2b']) {
  mkdirSync(`/var/log/pods/${pod}/agent`, { recursive: true })
  const line = `2026-11-21T10:00:00Z stdout F {"msg":"connects","url":"redis://bramble:${SECRETS.redis}@192.0.2.9"}\n`
  writeFileSync(`/var/log/pods/${pod}/agent/0.log`, line.repeat(60_000)) // longer than what is taken of one file
}
// The same words where no name tells what they are.
await run('nft', 'add table inet notes')
await run('nft', `add chain inet notes c { comment "the new word is ${SECRETS.inRule}" ; }`)
await run('ip', 'link', 'set', 'uplink', 'alias', SECRETS.wireguard.slice(0, 44))

t.test('an archive with what the node is, an index, and no secret', async (t) => {
  await Pod.add({ args: 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web' })
  const { output, file } = await sysdump('/run/first.tar.gz')
  t.equal(output.exitCode, 0, output.stderr)
  t.match(output.stderr, /^wrote \/run\/first\.tar\.gz: \d+ files; \d+ could not be had, INDEX\.txt in it says why\n/)
  t.match(output.stderr, 'Look at it before you give it to somebody')
  t.equal(statSync(file).mode & 0o777, 0o600)
  const { folder, files } = await unpack(file)
  t.match(folder, new RegExp(`^bramble-sysdump-${NODE_NAME}-\\d{8}T\\d{6}Z$`))

  t.match(JSON.parse(files['agent/status.json'] ?? ''), { nodeName: NODE_NAME, pods: 1 })
  t.match(files['agent/pods.json'], 'shop/web')
  t.match(files['network/routes-ipv4.txt'], /10\.42\.0\.\d+ dev brm[0-9a-f]{12} table main proto 98/)
  t.match(files['network/links.txt'], /brm[0-9a-f]{12}@/)
  t.match(files['network/nftables.txt'], 'table inet bramble-policy')
  t.match(files['network/settings.txt'], /^net\.ipv4\.ip_forward = 1$/m)
  t.match(files['network/proc/fib_trie'], 'LOCAL')
  t.match(files['system/os-release'], /^ID=/m)
  t.match(files['config/bramble/agent.yaml'], 'mtu: 1400')
  t.match(files['network/nftables.txt'], 'the new word is <redacted>', 'known by its value')
  t.match(files['network/links.txt'], 'alias <redacted>')
  t.match(files['config/net.d/05-other.conflist'], '"mtu":1333', 'the rest of a configuration stays')
  t.match(Object.keys(files).join('\n'), /^config\/net\.d\/-hostile-.*\.conf$/m)
  t.notOk(files['config/net.d/calico-kubeconfig'], 'what is no configuration stays where it is')
  t.match(files['config/net.d.txt'], '"calico-kubeconfig"', 'but that it is there is told')

  const [log, ...otherLogs] = Object.keys(files).filter((path) => path.startsWith('agent/logs/'))
  t.equal(log, `agent/logs/kube-system_bramble-x7k2f_${UID}_agent_0.log`)
  t.same(otherLogs, [], 'the logs of others stay where they are')
  t.match(files[log ?? '']?.slice(-120), '"msg":"connects","url":"redis://bramble:<redacted>@192.0.2.9"')

  const index = files['INDEX.txt'] ?? ''
  t.ok(index.startsWith(`sysdump of node ${NODE_NAME}, `))
  for (const path of Object.keys(files).filter((path) => path !== 'INDEX.txt')) t.match(index, `\n${path} `)
  t.match(index, /^agent\/logs\/kube-system.* its last 4194304 of \d+ bytes$/m)
  t.match(index, /^agent\/node-list\.json +- +bramblectl node list -o json +nodes come and go with/m)
  for (const [name, secret] of Object.entries(SECRETS))
    for (const [path, text] of Object.entries(files)) t.notOk(text?.includes(secret), `${name} in ${path}`)
})

t.test('a file that is there already is left alone', async (t) => {
  writeFileSync('/run/there', 'dear')
  const { output } = await sysdump('/run/there')
  t.match(output, {
    exitCode: 1,
    stderr: 'bramblectl: /run/there is there already; move it away, or name another file: --file FILE\n',
  })
  t.equal(readFileSync('/run/there', 'utf8'), 'dear')
})

t.test('on a full disk it says so, and leaves nothing there', async (t) => {
  mkdirSync('/run/small')
  await run('mount', '-t', 'tmpfs', '-o', 'size=1m', 'small', '/run/small')
  writeFileSync('/run/small/full', Buffer.alloc((1 << 20) - 4096))
  const { output } = await sysdump('/run/small/dump')
  t.equal(output.exitCode, 1, output.stderr)
  t.match(output.stderr, /^bramblectl: \/run\/small\/dump needs more room than its file system has; .*--file FILE\n$/)
  t.same(readdirSync('/run/small'), ['full'])
})

t.test('to stdout, and to one who does not listen to the end', async (t) => {
  const whole = spawn(process.execPath, [BRAMBLECTL, 'sysdump', '--file', '-'], { stdio: ['ignore', 'pipe', 'ignore'] })
  const chunks: Buffer[] = []
  for await (const chunk of whole.stdout) chunks.push(chunk)
  writeFileSync('/run/piped', Buffer.concat(chunks))
  t.match((await unpack('/run/piped')).files['INDEX.txt'], `sysdump of node ${NODE_NAME}`)

  const cut = spawn(process.execPath, [BRAMBLECTL, 'sysdump', '--file', '-'], { stdio: ['ignore', 'pipe', 'pipe'] })
  let stderr = ''
  cut.stderr.setEncoding('utf8').on('data', (text) => (stderr += text))
  cut.stdout.destroy()
  const exitCode = await new Promise((resolve) => cut.on('close', resolve))
  t.equal(exitCode, 1)
  t.equal(stderr, 'bramblectl: the archive was not read to its end by the program behind the pipe\n')
})

t.test('interrupted, it leaves no half archive', async (t) => {
  const child = spawn(process.execPath, [BRAMBLECTL, 'sysdump', '--file', '/run/half'], { stdio: 'ignore' })
  for (;;) {
    if (statSync('/run/half', { throwIfNoEntry: false })) break
    if (child.exitCode !== null) throw new Error('it ended before it could be interrupted')
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  child.kill('SIGINT')
  t.equal(await new Promise((resolve) => child.on('close', resolve)), 130)
  t.notOk(statSync('/run/half', { throwIfNoEntry: false }))
})

t.test('while the agent is away the node itself is told, and by the index that it is', async (t) => {
  await agent.stop('SIGKILL')
  process.env.BRAMBLE_NODE_NAME = 'pi-9' // as the manifest has it: the host may be called otherwise
  const { output, file } = await sysdump('/run/alone.tar.gz')
  t.equal(output.exitCode, 0)
  const { folder, files } = await unpack(file)
  t.match(folder, /^bramble-sysdump-pi-9-/)
  t.match(files['INDEX.txt'], /^agent\/status\.json +- +bramblectl status -o json +no agent listens on/m)
  t.match(files['network/routes-ipv4.txt'], /dev brm[0-9a-f]{12} table main proto 98/)
})

t.end()

async function sysdump(file: string): Promise<{ output: Output; file: string }> {
  return { output: await capture(process.execPath, [BRAMBLECTL, 'sysdump', '--file', file]), file }
}

/** @returns its one folder, and what is in it by path */
async function unpack(file: string): Promise<{ folder: string; files: Record<string, string | undefined> & object }> {
  const dir = `${file}.unpacked`
  rmSync(dir, { recursive: true, force: true })
  mkdirSync(dir)
  await run('tar', '-xzf', file, '-C', dir)
  const [folder = '', ...more] = readdirSync(dir)
  if (more.length > 0) throw new Error(`more than one folder: ${more}`)
  const names = readdirSync(join(dir, folder), { recursive: true, encoding: 'utf8' })
  const paths = names.filter((name) => statSync(join(dir, folder, name)).isFile())
  return {
    folder,
    files: Object.fromEntries(paths.map((path) => [path, readFileSync(join(dir, folder, path), 'utf8')])),
  }
}
