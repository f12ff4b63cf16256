import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { hostLinkName, LINK_GROUP } from '../../agent/ownership.ts'
import { AGENT, until } from './agent.ts'
import { announce, inside, type LabNode, makeLans, plugIn, startNode } from './cluster.ts'
import { call } from './plugin.ts'
import { Pod } from './pod.ts'
import { enterScratchNode, type Output, run } from './scratch.ts'
import { kernelState, settled } from './state.ts'

/*
 * What an agent leaves when it ends is meant to stay; `bramble-agent cleanup` is how it goes.
 */
await enterScratchNode()
await makeLans()
const N1: LabNode = { name: 'n1', number: 1, lan: 'a' }
const STATE_DIR = '/run/bramble-n1'
const SOCKET = { BRAMBLE_SOCKET: `${STATE_DIR}/agent.sock` }

await plugIn(N1)
await addLookAlikes()
for (const node of [N1, { name: 'n2', number: 2, lan: 'a' }, { name: 'n3', number: 3, lan: 'b' }] as const)
  announce(node)

/** All of a node that matters here. */
const state = async () => [
  ...(await kernelState('/run/netns/n1')),
  (await inside('n1', 'ip', 'route', 'show', 'table', 'all', 'type', 'blackhole')).stdout,
  (await inside('n1', 'nft', 'list', 'ruleset')).stdout,
]
await until('the uplink works', async () => (await ip('link', 'show', 'eth0')).includes('LOWER_UP'))
const BARE = await state()
const BARE_LINKS = await settled(await kernelState('/run/netns/n1'), '/run/netns/n1')

let agent = await startNode(N1)

t.test('while an agent runs, nothing is removed, wherever its files are; a dry run may look', async (t) => {
  await joined()
  const web = await Pod.add({ name: 'web', args: 'K8S_POD_NAMESPACE=default;K8S_POD_NAME=web', env: SOCKET })
  t.match(
    await call('ADD', { containerId: web.containerId, netns: web.netns, ifname: 'net1', env: SOCKET }),
    { exitCode: 0 },
    'a second interface',
  )
  await Pod.add({ name: 'plain', env: SOCKET })
  const before = await state()
  for (const stateDir of [STATE_DIR, '/run/elsewhere']) {
    const { exitCode, stdout, stderr } = await cleanup('--force', '--state-dir', stateDir)
    t.equal(exitCode, 1)
    t.equal(stdout, '')
    t.match(stderr, /^bramble-agent: a bramble-agent is at work here, .*: systemctl stop bramble-agent\n$/)
  }
  t.match(await cleanup('--dry-run'), {
    exitCode: 0,
    stdout: /would remove link brm.*\(pod default\/web\)\n/,
    stderr: '',
  })
  t.strictSame(await state(), before)
  t.notOk(existsSync('/run/elsewhere'))
  await agent.stop('SIGKILL')
})

t.test('pods that would lose their network are counted, and nothing goes until somebody says --force', async (t) => {
  const before = await state()
  const { exitCode, stdout, stderr } = await cleanup()
  t.equal(exitCode, 2)
  t.equal(stdout, '')
  t.equal(
    stderr,
    'bramble-agent: 2 pods have their network by Bramble and would lose it; remove them first, or say --force\n',
  )
  t.strictSame(await state(), before)
})

t.test('a dry run lists what cleanup then removes: all of ours, and nothing of others', async (t) => {
  await addOddities()
  const before = await state()
  const filesBefore = readdirSync(STATE_DIR, { recursive: true }).sort()
  const planned = await cleanup('--dry-run')
  t.match(planned, { exitCode: 0, stderr: '' })
  t.match(planned.stdout, /^(would remove .*\n)+\d+ objects; nothing was changed\n2 pods would lose the network until/)
  t.strictSame(await state(), before)
  t.strictSame(readdirSync(STATE_DIR, { recursive: true }).sort(), filesBefore)

  const done = await cleanup('--force')
  t.match(done, { exitCode: 0, stderr: '' })
  t.strictSame(objectsOf(done, 'removed'), objectsOf(planned, 'would remove'))
  t.match(done.stdout, /\n2 pods lost the network until made anew\nleft as they are, .*: net\/ipv4\/ip_forward=1, /)
  for (const object of [
    'link bramble.vxlan (vxlan)',
    'link renamed0 (pod default/moved)',
    `link ${hostLinkName('half-made', 'eth0')}`,
    'route blackhole 10.42.1.0/24 proto 97',
    'route 10.42.2.0/24 via 192.168.1.2 dev eth0 proto 97',
    'route unreachable 10.99.0.0/16 table 4242 proto 98',
    'rule 2000: not from all fwmark 0x62726d lookup 97 proto 98',
    'rule 2000: from fd42::/16 lookup 97 proto 98',
    'table inet bramble',
    'table ip6 bramble.policy',
    `file ${STATE_DIR}/freed`,
    `file ${STATE_DIR}/agent.sock`,
    `file ${STATE_DIR}/pending/gone:eth0`,
    `folder ${STATE_DIR}`,
  ])
    t.ok(objectsOf(done, 'removed').includes(object), object)

  await settled(BARE_LINKS, '/run/netns/n1')
  t.strictSame(await state(), BARE, 'the node is as it was before the agent came, look-alikes and all')
  t.notOk(existsSync(STATE_DIR))
})

t.test('the second time there is nothing', async (t) => {
  t.strictSame(await cleanup(), { exitCode: 0, stdout: 'nothing of Bramble is on this node\n', stderr: '' })
  t.strictSame(JSON.parse((await cleanup('-o', 'json')).stdout).objects, [])
  t.notOk(existsSync(STATE_DIR), 'looking makes nothing')
})

t.test('an agent that comes afterwards starts afresh', async (t) => {
  agent = await startNode(N1)
  await joined()
  t.strictSame(await agent.ask('pods'), [])
  t.match(await agent.ask('ipam'), [
    { used: 0, cooling: 0 },
    { used: 0, cooling: 0 },
  ])
  const pod = await Pod.add({ name: 'next', env: SOCKET })
  t.strictSame(pod.addresses, ['10.42.1.1', 'fd42:0:0:1::1'])
  await pod.vanish()
  await until('its link is gone', async () => !(await ip('link', 'show')).includes(pod.hostLink))
  await agent.stop()
})

t.test('what cannot be removed is named, and stops nothing; a group takes no stranger along', async (t) => {
  await ip('link', 'set', 'brm00000000beef', 'group', String(LINK_GROUP.condemned))
  for (const container of ['one', 'two']) await addCondemned(container)
  await run('mount', '--bind', `${STATE_DIR}/freed`, `${STATE_DIR}/freed`)
  const { exitCode, stdout, stderr } = await cleanup('-o', 'json')
  t.equal(exitCode, 1)
  t.match(stderr, /^bramble-agent: cannot remove file \/run\/bramble-n1\/freed: EBUSY.*\n.*folder.*ENOTEMPTY.*\n$/)
  const { objects } = JSON.parse(stdout)
  t.match(objects, [
    { object: `link ${hostLinkName('one', 'eth0')}` },
    { object: `link ${hostLinkName('two', 'eth0')}` },
  ])
  const failed = objects.filter(({ error }: { error?: string }) => error !== undefined)
  t.match(failed, [{ object: `file ${STATE_DIR}/freed`, error: /EBUSY/ }, { object: `folder ${STATE_DIR}` }])
  t.strictSame(readdirSync(STATE_DIR), ['freed'])
  t.match(await ip('link', 'show'), 'brm00000000beef', 'it was in the group of links that are deleted together')

  await run('umount', `${STATE_DIR}/freed`)
  t.match(await cleanup(), {
    exitCode: 0,
    stdout: `removed file ${STATE_DIR}/freed\nremoved folder ${STATE_DIR}\n2 obj`,
  })
  await ip('link', 'set', 'brm00000000beef', 'group', String(LINK_GROUP.pods))
})

t.test('without the right to change links and routes each of them is named', async (t) => {
  await addCondemned('three')
  await ip('route', 'add', 'blackhole', '10.42.1.0/24', 'proto', '97')
  await ip('rule', 'add', 'from', '10.42.1.1', 'lookup', '97', 'protocol', '98')
  const { exitCode, stdout, stderr } = await inside('n1', 'setpriv', '--bounding-set', '-net_admin', ...COMMAND)
  t.equal(exitCode, 1)
  t.match(stdout, /^0 of 3 objects removed\n/)
  for (const object of [
    `link ${hostLinkName('three', 'eth0')}`,
    'route blackhole 10.42.1.0/24 proto 97',
    'rule 999: from 10.42.1.1 lookup 97 proto 98',
  ])
    t.match(stderr, `bramble-agent: cannot remove ${object}: EPERM\n`)
  t.match(await cleanup(), { exitCode: 0, stdout: /\n3 objects removed\n/ })
})

t.test('without libnftables all else goes, and that tables could not be looked for is told', async (t) => {
  await addCondemned('four')
  mkdirSync('/run/broken')
  writeFileSync('/run/broken/libnftables.so.1', '')
  const { exitCode, stdout, stderr } = await inside('n1', 'env', 'LD_LIBRARY_PATH=/run/broken', ...COMMAND)
  t.equal(exitCode, 1)
  t.match(stdout, /^removed link brm.*\n1 object removed\n/)
  t.match(stderr, /^bramble-agent: cannot look for nftables tables: .*libnftables.*\n$/)
})

t.test('in the end, nothing has changed', async (t) => {
  await settled(BARE_LINKS, '/run/netns/n1')
  t.strictSame(await state(), BARE)
})

/** As a person would on the node. */
const COMMAND = [process.execPath, AGENT, 'cleanup', '--state-dir', STATE_DIR]

function cleanup(...options: readonly string[]): Promise<Output> {
  const [program = '', ...args] = options.includes('--state-dir') ? COMMAND.slice(0, 3) : COMMAND
  return inside('n1', program, ...args, ...options)
}

function objectsOf({ stdout }: Output, verb: string): string[] {
  return stdout.split('\n').flatMap((line) => (line.startsWith(`${verb} `) ? [line.slice(verb.length + 1)] : []))
}

function ip(...args: readonly string[]): Promise<string> {
  return run('ip', '-n', 'n1', ...args)
}

/** The agent knows its way to both other nodes. */
async function joined(): Promise<void> {
  await until('the ways are there', async () => {
    const routes = await ip('route', 'show', 'proto', '97')
    return ['192.168.1.2 dev eth0', 'dev bramble.vxlan', 'blackhole'].every((way) => routes.includes(way))
  })
}

/** A link that an agent was about to delete. */
async function addCondemned(containerId: string): Promise<void> {
  const name = hostLinkName(containerId, 'eth0')
  await ip('link', 'add', name, 'group', String(LINK_GROUP.condemned), 'type', 'veth', 'peer', `peer-${containerId}`)
}

/** Of others, and like ours at first sight. */
async function addLookAlikes(): Promise<void> {
  await ip('link', 'add', hostLinkName('somebody-elses', 'eth0'), 'type', 'veth', 'peer', 'foreign0')
  await ip('link', 'add', 'brm0', 'alias', 'bramble/1 x', 'type', 'veth', 'peer', 'foreign1')
  await ip('link', 'add', 'brm00000000beef', 'group', String(LINK_GROUP.pods), 'type', 'bridge')
  await ip('link', 'add', 'bramble.wg', 'type', 'bridge')
  await ip('link', 'add', 'flannel.1', 'type', 'vxlan', 'id', '1', 'dstport', '8472')
  await ip('route', 'add', '10.42.77.0/24', 'via', '192.168.1.254', 'proto', '96')
  await ip('route', 'add', 'blackhole', '10.42.78.0/24', 'proto', 'static', 'table', '97')
  await ip('rule', 'add', 'from', '10.42.1.7', 'lookup', '97', 'priority', '1000', 'protocol', '99')
  for (const table of ['inet brambles-of-others', 'ip bramblebush', 'inet nat'])
    await run('ip', 'netns', 'exec', 'n1', 'nft', `add table ${table}`)
}

/** Ours, but not as this version of the agent makes it. */
async function addOddities(): Promise<void> {
  await ip('link', 'add', 'renamed0', 'type', 'veth', 'peer', 'renamed1')
  await ip('link', 'set', 'renamed0', 'alias', 'bramble/1 moved eth0 bramble 10.42.1.99 - default/moved')
  await ip('link', 'set', 'renamed0', 'group', String(LINK_GROUP.condemned)) // its pod is gone
  const halfMade = hostLinkName('half-made', 'eth0')
  await ip('link', 'add', halfMade, 'group', String(LINK_GROUP.pods), 'type', 'veth', 'peer', 'half-peer')
  await addCondemned('deleted')
  await ip('route', 'add', 'unreachable', '10.99.0.0/16', 'table', '4242', 'proto', '98')
  const nexthops = ['nexthop', 'via', '192.168.1.8', 'dev', 'eth0', 'nexthop', 'via', '192.168.1.9', 'dev', 'eth0']
  await ip('route', 'add', '10.98.0.0/16', 'proto', '97', 'metric', '7', ...nexthops)
  await ip('-6', 'route', 'add', 'blackhole', 'fd42:99::/64', 'table', '97', 'proto', '97')
  const rule = ['lookup', '97', 'priority', '2000', 'protocol', '98']
  await ip('rule', 'add', 'not', 'fwmark', '0x62726d', ...rule)
  await ip('rule', 'add', 'from', 'all', ...rule)
  await ip('rule', 'add', 'from', '10.42.1.7', ...rule)
  await ip('-6', 'rule', 'add', 'from', 'fd42::/16', ...rule)
  await inside('n1', 'nft', 'add table inet bramble; add chain inet bramble c { type filter hook forward priority 0; }')
  await inside('n1', 'nft', 'add table ip6 bramble.policy')
  mkdirSync(`${STATE_DIR}/pending`, { recursive: true, mode: 0o700 })
  writeFileSync(`${STATE_DIR}/pending/gone:eth0`, '', { mode: 0o600 })
}
