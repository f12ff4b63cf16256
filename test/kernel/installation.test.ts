import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { pluginTypes } from '../../agent/install/conflist.ts'
import { Agent, until } from './agent.ts'
import { capture, enterScratchNode, run } from './scratch.ts'

/* What the agent puts on a node for the container runtime, without Kubernetes: the same flags. */
t.setTimeout(300_000)
await enterScratchNode()
const [BIN, CONF] = ['/run/cni/bin', '/run/cni/net.d']
const CONFLIST = join(CONF, '10-bramble.conflist')
const FLAGS = [`--cni-bin-dir=${BIN}`, `--cni-conf-dir=${CONF}`]
const AGENT_PROGRAM = join(import.meta.dirname, '../../bin/bramble-agent.ts')
const types = () => pluginTypes(readFileSync(CONFLIST, 'utf8'))

let agent = await Agent.start({ args: FLAGS })
const problems = async () => (await agent.ask('status')).problems

t.test('the configuration has the plugin do hostPorts by itself', (t) => {
  const { plugins } = JSON.parse(readFileSync(CONFLIST, 'utf8'))
  t.strictSame(plugins, [{ type: 'bramble', capabilities: { portMappings: true } }])
  t.end()
})

t.test('bandwidth that comes later is taken in, and left out again when it goes; portmap never is', async (t) => {
  for (const plugin of ['portmap', 'bandwidth']) copyFileSync(`/usr/lib/cni/${plugin}`, join(BIN, plugin))
  await until('it is in', () => types().includes('bandwidth'))
  t.strictSame(types(), ['bramble', 'bandwidth'])
  for (const plugin of ['portmap', 'bandwidth']) rmSync(join(BIN, plugin))
  await until('it is out', () => !types().includes('bandwidth'))
})

t.test('folders that are removed and made again are filled, and watched as before', async () => {
  for (let times = 0; times < 2; times++) {
    rmSync(CONF, { recursive: true })
    mkdirSync(CONF)
    await until('it is back', () => readdirSync(CONF).includes('10-bramble.conflist'))
    rmSync(CONFLIST)
    await until('it is back again', () => readdirSync(CONF).includes('10-bramble.conflist'))
  }
})

t.test("another network's configuration that comes first is told, with the command that takes it away", async (t) => {
  const path = join(CONF, '05-cilium.conflist')
  writeFileSync(path, '{"cniVersion":"1.0.0","name":"cilium","plugins":[{"type":"cilium-cni"}]}')
  t.match(await problems(), [
    `${path} comes before 10-bramble.conflist: pods get their network from "cilium-cni"; take it away: sudo rm ${path}`,
  ])
  await until('it is logged', () => agent.log.some(({ problem }) => String(problem).includes('cilium-cni')))
  writeFileSync(path, '{"plugins":')
  t.match((await problems())[0], /it cannot be read, and pods cannot start/)
  writeFileSync(path, '{"cniVersion":"1.0.0","name":"multus","type":"multus-shim"}')
  t.strictSame(await problems(), [], 'Multus calls us')
  rmSync(path)
  writeFileSync(join(CONF, '87-podman-bridge.conflist'), '{"plugins":[{"type":"bridge"}]}')
  t.strictSame(await problems(), [], 'what comes later is not used')
})

t.test('a program of somebody else in the place of the plugin is left there, and told', async (t) => {
  await agent.stop()
  rmSync(join(BIN, 'bramble'))
  rmSync(CONFLIST)
  writeFileSync(join(BIN, 'bramble'), '#!/bin/sh\n')
  agent = await Agent.start({ args: FLAGS })
  t.match(await problems(), [`${BIN}/bramble is a program of somebody else; move it away: it has the plugin's name`])
  t.equal(readFileSync(join(BIN, 'bramble'), 'utf8'), '#!/bin/sh\n')
  t.notOk(readdirSync(CONF).includes('10-bramble.conflist'), 'a runtime would call it')
  rmSync(join(BIN, 'bramble'))
  await until('it is installed', () => readdirSync(CONF).includes('10-bramble.conflist'))
  t.strictSame(await problems(), [])
})

t.test('a folder that cannot be written is told, and the agent serves all the same', async (t) => {
  mkdirSync('/run/read-only')
  await run('mount', '-t', 'tmpfs', '-o', 'ro', 'tmpfs', '/run/read-only')
  await agent.stop()
  agent = await Agent.start({ args: [`--cni-bin-dir=${BIN}`, '--cni-conf-dir=/run/read-only/net.d'] })
  t.match((await problems())[0], /cannot be installed: .*\/run\/read-only\/net\.d/)
})

t.test('on a full disk nothing is written again and again, and room is found when it is there', async (t) => {
  mkdirSync('/run/full')
  await run('mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', '/run/full')
  await agent.stop()
  agent = await Agent.start({ args: ['--cni-bin-dir=/run/full/bin', '--cni-conf-dir=/run/full/net.d'] })
  t.match((await problems())[0], /cannot be installed: ENOSPC/)
  t.strictSame(readdirSync('/run/full/bin'), [], 'no half of it')
  let tries = 0
  const watcher = watch('/run/full/bin', (event) => event === 'rename' && tries++)
  await new Promise((resolve) => setTimeout(resolve, 2_000))
  watcher.close()
  t.ok(tries <= 4, `${tries} names came and went in 2 s`)
  await run('mount', '-o', 'remount,size=64m', '/run/full')
  await until('it is installed', () => readdirSync('/run/full/net.d').includes('10-bramble.conflist'))
  t.strictSame(await problems(), [])
})

t.test('a folder that the node has removed below a container is told', async (t) => {
  for (const dir of ['/run/node-conf', '/run/mounted']) mkdirSync(dir)
  await run('mount', '--bind', '/run/node-conf', '/run/mounted')
  await agent.stop()
  agent = await Agent.start({ args: [`--cni-bin-dir=${BIN}`, '--cni-conf-dir=/run/mounted'] })
  t.strictSame(await problems(), [])
  rmSync('/run/node-conf', { recursive: true })
  await until('it is told', async () => /was removed on the node/.test((await problems())[0] ?? ''))
})

t.test('uninstall leaves what is not ours', async (t) => {
  await agent.stop()
  mkdirSync(CONF, { recursive: true })
  agent = await Agent.start({ args: FLAGS })
  const refused = await uninstall()
  t.match(refused, { exitCode: 1, stderr: /a bramble-agent is at work here/ })
  t.ok(readdirSync(CONF).includes('10-bramble.conflist'), 'nothing was touched')
  await agent.stop()
  const dry = await uninstall('--dry-run')
  t.match(dry, { exitCode: 0, stdout: new RegExp(`would remove file ${CONFLIST}`) })
  t.ok(readdirSync(CONF).includes('10-bramble.conflist'))
  copyFileSync('/usr/lib/cni/portmap', join(BIN, 'portmap'))
  t.match(await uninstall(), { exitCode: 0, stdout: new RegExp(`removed file ${BIN}/bramble`) })
  t.strictSame(readdirSync(CONF), ['87-podman-bridge.conflist'])
  t.strictSame(readdirSync(BIN), ['portmap'])
  t.match(await uninstall(), { exitCode: 0, stdout: /nothing of Bramble is on this node/ })
})

t.teardown(() => agent.stop())

function uninstall(...words: string[]) {
  return capture(process.execPath, [AGENT_PROGRAM, 'uninstall', '--pod-cidr=10.42.0.0/24', ...FLAGS, ...words])
}
