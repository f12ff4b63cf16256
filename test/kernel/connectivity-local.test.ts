import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import type { Agent } from './agent.ts'
import { until } from './agent.ts'
import { announce, inside, type LabNode, makeLans, plugIn, startNode } from './cluster.ts'
import { PLUGIN } from './plugin.ts'
import { enterScratchNode, type Output, run } from './scratch.ts'

/** `bramblectl connectivity test --local` on one of two nodes with real agents, with its network whole and broken. */
const BRAMBLECTL = fileURLToPath(new URL('../../bin/bramblectl.ts', import.meta.url))
const NODES: readonly LabNode[] = [
  { name: 'n1', number: 1, lan: 'a' },
  { name: 'n2', number: 2, lan: 'b' },
]
const OUTSIDE = '192.168.1.254'

await enterScratchNode()
await makeLans()
const outside = createServer((socket) => socket.on('error', () => {})).listen(443, OUTSIDE)
await once(outside, 'listening')
const agents: Agent[] = []
for (const node of NODES) {
  await plugIn(node)
  announce(node)
}
for (const node of NODES) agents.push(await startNode(node))
t.after(async () => {
  outside.close()
  for (const agent of agents) await agent.stop()
})

t.test('a node that is well: every line is good, but for an Internet that the node has not itself', async (t) => {
  const { exitCode, stdout, stderr } = await test()
  t.equal(exitCode, 0, stdout)
  t.match(
    stdout,
    /^plugin: ADD, CHECK, DEL +- +good {2}10\.42\.1\.\d+ fd42:0:0:1::\d+, 10\.42\.1\.\d+ fd42:0:0:1::\d+$/m,
  )
  for (const family of ['IPv4', 'IPv6']) {
    t.match(stdout, new RegExp(`^pod to pod on its node: TCP +${family} +good`, 'm'))
    t.match(stdout, new RegExp(`^pod to pod on its node: UDP +${family} +good`, 'm'))
    t.match(stdout, new RegExp(`^pod to pod on its node: full size +${family} +good {2}1450 bytes`, 'm'))
    t.match(stdout, new RegExp(`^node to pod on it +${family} +good`, 'm'))
  }
  t.match(stdout, /^pod to its node +IPv4 +good/m)
  t.match(stdout, /^pod to another node +IPv4 +good/m)
  t.match(stdout, /^node to another node: full size +IPv4 +good {2}1500 of 1500 bytes by vxlan$/m)
  t.match(stdout, /^pod to outside +IPv4 +good/m)
  t.match(stdout, /^pod to outside +IPv6 +skipped$/m)
  t.match(stdout, /^ {2}pod to outside \(IPv6\): the node itself does not reach 2001:db8::99$/m)
  t.match(stdout, /^nothing is left behind +- +good$/m)
  t.match(stdout, /^all is well: \d+ tried$/m)
  t.match(stderr, /^two pods on n1: bramble-test-[0-9a-f]{6}-a, bramble-test-[0-9a-f]{6}-b$/m)
  await isClean(t)
})

/** What is wrong, all at once, in IPv4 alone; and what is said of each. */
const BROKEN: { rule: string; failed: RegExp; look: RegExp }[] = [
  {
    rule: 'inet wall forward ip daddr 10.42.1.0/24 udp dport 5202 drop',
    failed: /^pod to pod on its node: UDP +IPv4 +0 of 1: FAILED$/m,
    look: /UDP, pod on n1 to pod on n1 \(10\.42\.1\.\d+\): no answer within .*\n +look: on n1: sudo bramblectl status/,
  },
  {
    rule: 'inet wall source ip daddr 10.42.1.0/24 tcp dport 5202 masquerade',
    failed: /^pod to pod on its node: TCP +IPv4 +0 of 1: FAILED$/m,
    look: /TCP, pod on n1 to .* it is seen as 192\.168\.1\.1 there: something on the way changes the source address/,
  },
  {
    rule: 'inet wall forward ip daddr 10.42.1.0/24 icmp type echo-request ip length > 1000 drop',
    failed: /^pod to pod on its node: full size +IPv4 +0 of 1: FAILED$/m,
    look: /no answer to 1450 bytes within [^\n]*\n +look: on n1: sudo bramblectl mtu /,
  },
  {
    rule: 'inet wall forward ip daddr 192.168.1.254 tcp dport 443 reject with tcp reset',
    failed: /^pod to outside +IPv4 +0 of 1: FAILED$/m,
    look: /pod to outside, pod on n1 to 192\.168\.1\.254: .*ECONNREFUSED.*\n +look: on n1: sudo nft list table/,
  },
  {
    rule: 'inet wall input iifname "brm*" ip protocol icmp drop',
    failed: /^pod to its node +IPv4 +0 of 1: FAILED$/m,
    look: /pod to its node, pod on n1 to node n1 \(192\.168\.1\.1\): no answer .*\n +look: on n1: sudo bramblectl doctor/,
  },
]

t.test('where something stops packets, each line is named, with what to look at, and it ends with 1', async (t) => {
  const chains = [
    'forward { type filter hook forward priority 10 ; }',
    'input { type filter hook input priority 10 ; }',
    'source { type nat hook postrouting priority 90 ; }',
  ]
  const rules = ['add table inet wall', ...chains.map((chain) => `add chain inet wall ${chain}`)]
  const all = [...rules, ...BROKEN.map(({ rule }) => `add rule ${rule}`)].join('\n')
  t.equal((await inside('n1', 'nft', all)).exitCode, 0)
  const { exitCode, stdout } = await test()
  await inside('n1', 'nft', 'delete table inet wall')
  t.equal(exitCode, 1)
  for (const { failed, look } of BROKEN) {
    t.match(stdout, failed)
    t.match(stdout, look)
  }
  t.match(stdout, /^pod to pod on its node: UDP +IPv6 +good/m, 'the other family goes on')
  t.match(stdout, /^5 of \d+ failed$/m)
  await isClean(t)
})

t.test('a plugin that refuses is told by its words, in JSON too', async (t) => {
  const { exitCode, stdout } = await test('--plugin', '/bin/false', '-o', 'json')
  t.equal(exitCode, 1)
  t.match(JSON.parse(stdout), [
    {
      check: 'plugin: ADD, CHECK, DEL',
      node: 'n1',
      result: 'failed',
      words: 'ADD: /bin/false ended with 1',
      look: [/^on n1: sudo bramblectl status/],
    },
    { check: 'nothing is left behind', result: 'failed' },
  ])
})

t.test('interrupted, or without its terminal, it takes its pods away; killed, they go by themselves', async (t) => {
  for (const [signal, end] of [
    ['SIGINT', 130],
    ['SIGHUP', 129],
    ['SIGKILL', 'SIGKILL'],
  ] as const) {
    const child = spawn('nsenter', ['--net=/run/netns/n1', process.execPath, BRAMBLECTL, ...args()], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const ended = once(child, 'close')
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text))
    await until('it is in the middle', () => stderr.includes('things are tried'))
    child.kill(signal)
    const [exitCode, killedBy] = await ended
    t.equal(exitCode ?? killedBy, end)
    await isClean(t)
  }
})

t.test('an agent that is away, and options that do not go together, are told in one line', async (t) => {
  t.match(await test('--socket', '/run/nobody.sock'), {
    exitCode: 1,
    stdout: '',
    stderr:
      'bramblectl: no agent listens on /run/nobody.sock; is it running? try: systemctl status bramble-agent, or kubectl -n kube-system get pods -o wide\n',
  })
  for (const [words, reason] of Object.entries({
    '--kubeconfig /x': '--kubeconfig is for a cluster, and --local needs none',
    '--outside 1.1.1.1': '--outside "1.1.1.1" is no ADDRESS:PORT; write 192.0.2.1:443, or [2001:db8::1]:443',
    '--clean': '--clean is for a cluster: what --local makes ends with it',
  }))
    t.match(await test(...words.split(' ')), { exitCode: 2, stdout: '', stderr: `bramblectl: ${reason}\n` })
})

t.end()

function args(...more: readonly string[]): string[] {
  const given = (option: string) => more.includes(option)
  return [
    ...['connectivity', 'test', '--local'],
    ...(given('--plugin') ? [] : ['--plugin', PLUGIN]),
    ...(given('--socket') ? [] : ['--socket', '/run/bramble-n1/agent.sock']),
    ...(given('--outside') ? [] : ['--outside', `${OUTSIDE}:443`, '--outside', '[2001:db8::99]:443']),
    ...more,
  ]
}

function test(...more: readonly string[]): Promise<Output> {
  return inside('n1', process.execPath, BRAMBLECTL, ...args(...more))
}

/** No link of a pod, no route, no address; links go a moment after the DEL. */
async function isClean(t: Test): Promise<void> {
  await until('the links of the pods are gone', async () => !(await run('ip', '-n', 'n1', 'link')).includes('brm'))
  const [n1] = agents
  t.same(await n1?.ask('pods'), [])
  t.same(await n1?.ask('ipam check'), [])
  t.notMatch(await run('ip', '-n', 'n1', 'route'), /proto 98/)
}
