import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import t from 'tap'
import { DROP_INS } from '../../agent/install/drop-ins.ts'
import { Agent, until } from './agent.ts'
import { capture, enterScratchNode, run } from './scratch.ts'

/*
 * Debian's own udev and systemd-networkd read what the agent has written for them. networkd is told to configure every link it
 * sees: the worst that people have.
 */
t.setTimeout(300_000)
await enterScratchNode()
const NETWORKD = '/lib/systemd/systemd-networkd'
const [POD_LINK, TUNNEL, UPLINK] = ['brm0123456789ab', 'bramble.vxlan', 'uplink']
const UPLINK_ADDRESS = '192.0.2.10'
const [TO_NODE, TO_POD] = ['10.42.2.0/24 via 192.0.2.2', '10.42.0.7']

t.test('the agent writes them where these daemons are, when it is to install anything', async (t) => {
  for (const { daemonMark } of DROP_INS) {
    mkdirSync(dirname(daemonMark), { recursive: true })
    if (!existsSync(daemonMark)) mkdirSync(daemonMark)
  }
  await (await Agent.start()).stop()
  for (const { path } of DROP_INS) t.notOk(existsSync(path), 'nobody has asked for it')
  await (await Agent.start({ args: ['--cni-bin-dir=/run/cni'] })).stop()
  for (const { path } of DROP_INS) t.ok(existsSync(path), path)
  for (const { daemonMark } of DROP_INS) rmSync(daemonMark, { recursive: true, force: true }) // they make their own
})

t.test('udev marks our links as those of somebody else, and no others', async (t) => {
  await run('ip', 'link', 'add', POD_LINK, 'type', 'veth', 'peer', 'name', UPLINK)
  await run('ip', 'link', 'add', TUNNEL, 'type', 'vxlan', 'id', '5', 'dstport', '4789', 'dev', 'lo')
  for (const link of [POD_LINK, UPLINK]) await run('ip', 'link', 'set', link, 'up')
  for (const link of [POD_LINK, TUNNEL])
    t.strictSame(await marks(link), ['ID_NET_MANAGED_BY=bramble', 'NM_UNMANAGED=1'])
  t.strictSame(await marks(UPLINK), [])
})

t.test('networkd that starts leaves our links alone, and our routes on its own link', async (t) => {
  await addRoutes()
  await withNetworkd(async () => {
    await until('it has configured its link', () => hasAddress(UPLINK))
    t.notOk(await hasAddress(POD_LINK))
    t.notOk(await hasAddress(TUNNEL))
    const routes = await run('ip', 'route')
    t.match(routes, `${TO_NODE} dev ${UPLINK}`)
    t.match(routes, `${TO_POD} dev ${POD_LINK}`)
  })
})

t.test('without them it does not: this is no test of something that holds anyway', async (t) => {
  for (const { path } of DROP_INS) rmSync(path)
  await run('ip', 'address', 'flush', 'dev', UPLINK)
  await addRoutes()
  await withNetworkd(async () => {
    await until('it has configured our links', async () => (await hasAddress(POD_LINK)) && (await hasAddress(UPLINK)))
    t.notMatch(await run('ip', 'route'), 'proto 9')
  })
})

async function addRoutes(): Promise<void> {
  await run('ip', 'route', 'replace', ...TO_NODE.split(' '), 'dev', UPLINK, 'onlink', 'proto', '97')
  await run('ip', 'route', 'replace', TO_POD, 'dev', POD_LINK, 'proto', '98')
}

async function hasAddress(link: string): Promise<boolean> {
  return (await run('ip', 'address', 'show', 'dev', link)).includes(UPLINK_ADDRESS)
}

/** Properties that the rules of the machine, and ours, give a link. */
async function marks(link: string): Promise<string[]> {
  const { stdout } = await capture('udevadm', ['test', `/sys/class/net/${link}`])
  return stdout
    .split('\n')
    .filter((line) => /^(NM_UNMANAGED|ID_NET_MANAGED_BY)=/.test(line))
    .sort()
}

async function withNetworkd(look: () => Promise<void>): Promise<void> {
  mkdirSync('/run/systemd/network', { recursive: true })
  writeFileSync('/run/systemd/network/50-all.network', `[Match]\nName=*\n[Network]\nAddress=${UPLINK_ADDRESS}/24\n`)
  let log = ''
  const networkd: ChildProcess = spawn('setpriv', ['--pdeathsig', 'KILL', NETWORKD], {
    env: { SYSTEMD_LOG_TARGET: 'console' },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const ended = new Promise((resolve) => networkd.once('close', resolve))
  networkd.stderr?.setEncoding('utf8').on('data', (text: string) => (log += text))
  try {
    await look()
  } catch (error) {
    throw new Error(`${(error as Error).message}; networkd says:\n${log}`)
  } finally {
    networkd.kill()
    await ended
  }
}
