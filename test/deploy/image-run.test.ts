import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { imageReference } from '../../deploy/image/reference.ts'
import { until } from '../kernel/agent.ts'
import { startContainerd } from '../kernel/containerd/daemon.ts'
import { traces } from '../kernel/containerd/traces.ts'
import { capture, enterScratchNode, makeNetns, run } from '../kernel/scratch.ts'
import { imageArchivePath, unpackImage } from './unpacked-image.ts'

/** As this machine runs it; test/kernel/daemonset.test.ts has the manifest, image-arm64.test.ts the other architecture. */
await enterScratchNode()
const [{ root }, arm64] = [await unpackImage(t, 'amd64'), await unpackImage(t, 'arm64')]
const [netns, otherNetns] = [await makeNetns('pod'), await makeNetns('other')]
// Nothing of the machine's own that could be deleted with the folder, however this ends.
await run('mount', '-t', 'proc', 'proc', join(root, 'proc'))
await run('mount', '-t', 'sysfs', '-o', 'ro', 'sysfs', join(root, 'sys'))
await run('mount', '--rbind', '/run', join(root, 'run'))
writeFileSync(join(root, 'dev/null'), '')
await run('mount', '--bind', '/dev/null', join(root, 'dev/null'))
t.teardown(() =>
  run('umount', '--recursive', ...['proc', 'sys', 'run', 'dev/null'].map((folder) => join(root, folder))),
)
const PATH = 'PATH=/opt/bramble/bin:/usr/sbin:/usr/bin'
const CONFIGURATION = '{"cniVersion":"1.1.0","name":"b","type":"bramble"}'
const inImage = (words: readonly string[], stdin?: string) =>
  capture('chroot', [root, 'env', '-i', PATH, ...words], stdin)

t.test('in the image the agent wires a pod, with the libraries and the plugin that are in it', async (t) => {
  const args = ['--node-name', 'n1', '--pod-cidr', '10.42.0.0/24']
  const agent = spawn('setpriv', ['--pdeathsig', 'KILL', 'chroot', root, 'env', '-i', PATH, 'bramble-agent', ...args])
  let log = ''
  for (const stream of [agent.stdout, agent.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (log += text))
  await until('the agent is ready', () => {
    if (agent.exitCode !== null) throw new Error(`it ended: ${log}`)
    return log.includes('"msg":"ready"')
  })

  const maps = readFileSync(`/proc/${agent.pid}/maps`, 'utf8')
  const libraries = Array.from(maps.matchAll(/ (\/\S+\.(?:so|node)\S*)$/gm), ([, path = '']) => path)
  t.ok(libraries.some((path) => path.includes('libnftables.so')))
  t.same(
    libraries.filter((path) => !path.startsWith(root)),
    [],
    "all are the image's own",
  )

  const env = ['CNI_COMMAND=ADD', 'CNI_CONTAINERID=one', `CNI_NETNS=${netns}`, 'CNI_IFNAME=eth0']
  const added = await inImage([...env, 'bramble'], CONFIGURATION)
  t.match(JSON.parse(added.stdout), { ips: [{ address: '10.42.0.1/32' }] })
  const status = await inImage(['bramblectl', 'status', '-o', 'json'])
  t.match(JSON.parse(status.stdout), { pods: 1, problems: [] })
  t.match((await inImage(['nft', 'list', 'tables'])).stdout, 'table inet bramble-policy')
  t.match((await inImage(['ip', 'route'])).stdout, '10.42.0.1 dev brm')

  // What QEMU's user mode can do of arm64: sockets, but no nftables.
  const emulated = (variables: readonly string[], words: readonly string[], stdin?: string) =>
    capture('env', ['-i', ...variables, '/usr/bin/qemu-aarch64-static', '-L', arm64.root, ...words], stdin)
  const bundle = join(arm64.root, 'opt/bramble')
  const other = ['CNI_COMMAND=ADD', 'CNI_CONTAINERID=two', `CNI_NETNS=${otherNetns}`, 'CNI_IFNAME=eth0']
  const second = await emulated(other, [join(bundle, 'bin/bramble')], CONFIGURATION)
  t.match(JSON.parse(second.stdout), { ips: [{ address: '10.42.0.2/32' }] }, 'the plugin for arm64')
  const pods = await emulated([], [join(bundle, 'lib/node'), join(bundle, 'lib/bramblectl.mjs'), 'pods', '-o', 'json'])
  t.equal(JSON.parse(pods.stdout).length, 2, 'the tool for arm64')

  const exited = once(agent, 'exit')
  agent.kill('SIGTERM')
  t.same(await exited, [0, null])
})

t.test('each command that is a link to busybox is one that it has', async (t) => {
  const { stdout } = await inImage(['busybox', '--list'])
  const known = stdout.trim().split('\n')
  const links = (await inImage(['find', '/usr/bin', '-type', 'l'])).stdout.trim().split('\n')
  const names = links.filter((path) => readlinkSync(join(root, path)) === 'busybox').map((path) => path.slice(9))
  t.ok(names.includes('sh'))
  t.same(
    names.filter((name) => !known.includes(name)),
    [],
  )
})

t.test('containerd knows the image, once imported, by the name that the manifest has', async (t) => {
  mkdirSync('/run/netns', { recursive: true })
  const image = imageReference()
  const containerd = await startContainerd({
    plugins: [],
    conflists: { default: { cniVersion: '1.0.0', name: 'none', plugins: [{ type: 'loopback' }] } },
    images: { [image]: async () => readFileSync(imageArchivePath('amd64')) },
  })
  t.ok(await containerd.cri.hasImage(image))
  await containerd.stop()
  t.same(await traces([containerd.cgroup]), [])
})
