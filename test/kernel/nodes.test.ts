import t from 'tap'
import type { Agent } from './agent.ts'
import { until } from './agent.ts'
import {
  addPodOn,
  announce,
  inside,
  type LabNode,
  lanAddress,
  makeLans,
  N1,
  N2,
  N3,
  plugIn,
  podAddresses,
  reaches,
  startNode,
  withdraw,
} from './cluster.ts'
import { enterScratchNode, run } from './scratch.ts'

await enterScratchNode()
await makeLans()

const NODES = [N1, N2, N3]
const MTU_BYTES = 1450 // 1500 less what VXLAN takes

for (const node of NODES) {
  await plugIn(node)
  announce(node)
}
const agents: Agent[] = await Promise.all(NODES.map((node) => startNode(node)))
const routes = async (node: LabNode) => (await inside(node.name, 'ip', 'route', 'show', 'proto', '97')).stdout
const ours = async ({ name }: LabNode) => {
  const commands = [
    ['ip', 'route', 'show', 'proto', '97'],
    ['ip', '-6', 'route', 'show', 'proto', '97'],
    ['bridge', 'fdb', 'show', 'dev', 'bramble.vxlan'],
    ['ip', 'neighbour', 'show', 'dev', 'bramble.vxlan'],
    ['ip', '-o', 'address', 'show', 'dev', 'bramble.vxlan'],
    ['ip', '-d', '-o', 'link', 'show', 'bramble.vxlan'],
    ['nft', '--stateless', 'list', 'table', 'inet', 'bramble-notrack'],
  ]
  const texts = await Promise.all(commands.map(async (command) => (await inside(name, ...command)).stdout))
  // Link-local addresses are the kernel's own.
  const lines = texts.flatMap((text) =>
    text
      .split('\n')
      .map((line) => line.replace(/^\d+: /, ''))
      .sort(),
  )
  return lines.filter((line) => !line.includes('inet6 fe80:')).join('\n')
}
await until('every node knows its way', async () =>
  (await Promise.all(NODES.map(routes))).every((text) => text.trim().split('\n').length === 3),
)
for (const node of NODES) await addPodOn(node)

t.test('in one subnet packets go directly, behind a router through VXLAN', async (t) => {
  const text = await routes(N1)
  t.match(text, `10.42.2.0/24 via ${lanAddress(N2)} dev eth0`)
  t.match(text, '10.42.3.0/24 via 10.42.3.0 dev bramble.vxlan onlink')
})

t.test('every pod reaches every other one, with packets as large as the MTU, in both families', async (t) => {
  for (const from of NODES)
    for (const to of NODES)
      for (const address of podAddresses(to))
        if (from !== to) t.ok(await reaches(`pod-${from.name}`, address, MTU_BYTES), `${from.name} to ${address}`)
})

t.test('what pods say through VXLAN is a connection to the kernel, and what carries it is none', async (t) => {
  t.ok(await reaches('pod-n1', '10.42.3.1'))
  for (const node of ['n1', 'n3']) {
    const connections = (await inside(node, 'cat', '/proc/net/nf_conntrack')).stdout
    t.match(connections, / icmp .* src=10\.42\.1\.1 dst=10\.42\.3\.1 /, node)
    t.notMatch(connections, / dport=4789 /, node)
  }
})

t.test('every node reaches every pod', async (t) => {
  for (const from of NODES)
    for (const to of NODES) {
      const [ipv4 = ''] = podAddresses(to)
      t.ok(await reaches(from.name, ipv4), `${from.name} to ${ipv4}`)
    }
})

t.test('pods get the MTU that is left by the tunnel, and so does the tunnel', async (t) => {
  for (const { name } of NODES) {
    t.match(await run('ip', '-n', `pod-${name}`, 'link', 'show', 'eth0'), `mtu ${MTU_BYTES}`)
    t.match(await run('ip', '-n', name, 'link', 'show', 'bramble.vxlan'), `mtu ${MTU_BYTES}`)
  }
})

t.test('a packet for an address of this node that no pod has goes nowhere', async (t) => {
  const { stdout, stderr } = await inside('n1', 'ping', '-n', '-c', '1', '-W', '1', '10.42.1.200')
  t.match(stdout + stderr, /Invalid argument|Network is unreachable/) // what Linux says of a blackhole
})

t.test('what somebody deletes or changes is back within a second', async (t) => {
  const before = await ours(N1)
  const repairsMs: number[] = []
  const mac = (await inside('n1', 'bridge', 'fdb', 'show', 'dev', 'bramble.vxlan')).stdout.slice(0, 17)
  for (const damage of [
    ['ip', 'route', 'delete', '10.42.2.0/24'],
    ['ip', '-6', 'route', 'delete', 'fd42:0:0:3::/64'],
    ['ip', 'route', 'replace', '10.42.3.0/24', 'via', '192.168.1.254', 'proto', '97'],
    ['ip', 'route', 'delete', 'blackhole', '10.42.1.0/24'],
    ['bridge', 'fdb', 'delete', mac, 'dev', 'bramble.vxlan'],
    ['ip', 'neighbour', 'flush', 'dev', 'bramble.vxlan', 'nud', 'permanent'],
    ['ip', 'address', 'flush', 'dev', 'bramble.vxlan'],
    ['ip', 'link', 'set', 'bramble.vxlan', 'address', '02:00:00:00:00:01'],
    ['ip', 'link', 'set', 'bramble.vxlan', 'mtu', '1200'],
    ['ip', 'link', 'set', 'bramble.vxlan', 'down'],
    ['ip', 'link', 'set', 'bramble.vxlan', 'down', 'name', 'renamed'],
    ['ip', 'link', 'set', 'bramble.vxlan', 'type', 'vxlan', 'ttl', '1'],
    ['ip', 'link', 'set', 'bramble.vxlan', 'type', 'vxlan', 'remote', '192.168.2.9'],
    ['ip', 'link', 'set', 'bramble.vxlan', 'type', 'vxlan', 'learning'],
    ['ip', 'link', 'delete', 'bramble.vxlan'],
    ['nft', 'flush', 'chain', 'inet', 'bramble-notrack', 'output'],
  ]) {
    const { exitCode, stderr } = await inside('n1', ...damage)
    t.equal(exitCode, 0, `${damage.join(' ')} ${stderr}`)
    const brokenAtMs = performance.now()
    await until(`undone: ${damage.join(' ')}`, async () => (await ours(N1)) === before)
    repairsMs.push(performance.now() - brokenAtMs)
  }
  // The machine may be busy with other tests: the quickest repair tells that none waits for a look now and then.
  t.ok(Math.min(...repairsMs) < 1_000, `${repairsMs.map(Math.round)} ms`)
  t.ok(await reaches('pod-n1', '10.42.3.1', MTU_BYTES))
})

t.test("what is not ours stays: another's routes, VXLAN links, neighbours", async (t) => {
  await run('ip', '-n', 'n2', 'route', 'add', '172.16.0.0/16', 'via', '192.168.1.254')
  await run('ip', '-n', 'n2', 'link', 'add', 'flannel.1', 'type', 'vxlan', 'id', '1', 'dstport', '8472')
  await run('ip', '-n', 'n2', 'neighbour', 'add', '192.168.1.77', 'lladdr', '02:00:00:00:00:77', 'dev', 'eth0')
  await run('ip', '-n', 'n2', 'route', 'delete', '10.42.3.0/24') // makes the agent look
  await until('repaired', async () => (await routes(N2)).includes('10.42.3.0/24'))
  t.match(await run('ip', '-n', 'n2', 'route'), '172.16.0.0/16 via 192.168.1.254')
  t.match(await run('ip', '-n', 'n2', 'link'), 'flannel.1')
  t.match(await run('ip', '-n', 'n2', 'neighbour'), '192.168.1.77')
})

t.test("a peer never gets another's route, nor the addresses of the network that the node is on", async (t) => {
  await run('ip', '-n', 'n1', 'route', 'add', '10.50.0.0/24', 'via', '192.168.1.254', 'proto', 'static')
  const [agent] = agents
  const problems = async () => (await agent?.ask('status'))?.problems ?? []
  for (const [number, podCidr] of [
    [50, '10.50.0.0/24'],
    [51, '192.168.1.0/24'],
    [52, '0.0.0.0/0'],
    [53, '10.42.2.0/25'],
  ] as const) {
    const intruder: LabNode = { name: `x${number}`, number, lan: 'a' }
    announce(intruder, '192.168.1.66', [podCidr])
    await until(`refused: ${podCidr}`, async () => (await problems()).some((one) => one.includes(podCidr)))
    withdraw(intruder)
    await until('forgotten', async () => (await problems()).length === 0)
  }
  const table = await run('ip', '-n', 'n1', 'route')
  for (const route of ['10.50.0.0/24 via 192.168.1.254', '192.168.1.0/24 dev eth0', 'default via 192.168.1.254'])
    t.match(table, route)
  t.ok(await reaches('pod-n1', '10.42.2.1'))
})

t.test('a node that moves to another address is followed, and nothing of the old one stays', async (t) => {
  await run('ip', '-n', 'n3', 'address', 'add', '192.168.2.33/24', 'dev', 'eth0')
  announce(N3, '192.168.2.33')
  await until('the tunnel leads there', async () => {
    const { stdout } = await inside('n1', 'bridge', 'fdb', 'show', 'dev', 'bramble.vxlan')
    return stdout.includes('dst 192.168.2.33') && !stdout.includes('dst 192.168.2.3 ')
  })
  await until('the tunnel starts there', async () =>
    (await inside('n3', 'ip', '-d', 'link', 'show', 'bramble.vxlan')).stdout.includes('local 192.168.2.33'),
  )
  await until('pods meet again', () => reaches('pod-n1', '10.42.3.1', MTU_BYTES))
  t.pass()
})

t.test(
  'a node that leaves takes its routes with it, and with the last one behind a router goes the tunnel',
  async (t) => {
    withdraw(N3)
    await until('its routes are gone', async () => !(await routes(N1)).includes('10.42.3.0/24'))
    await until('the tunnel of IPv6 pods stays', async () => (await ours(N1)).includes('fd42:0:0:2::'))
    t.notMatch(await ours(N1), /fd42:0:0:3::|192\.168\.2\./)
    t.ok(await reaches('pod-n1', '10.42.2.1'))
    announce(N3, '192.168.2.33')
    await until('it is back', () => reaches('pod-n1', '10.42.3.1'))
  },
)

t.test('a manifest that breaks is named, and what it said before stays in force', async (t) => {
  const { writeFileSync } = await import('node:fs')
  writeFileSync(
    '/run/cluster/n2.json',
    '{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n2"}, "spec": {"pod',
  )
  const [agent] = agents
  await until(
    'it is reported',
    async () => (await agent?.ask('status'))?.problems.some((one) => one.startsWith('n2.json')) ?? false,
  )
  t.match((await agent?.ask('status'))?.problems[0], /^n2\.json: .*what it said before stays in force$/)
  t.ok(await reaches('pod-n1', '10.42.2.1'))
  announce(N2)
  await until('it is well again', async () => (await agent?.ask('status'))?.problems.length === 0)
})

t.test('an agent that ends leaves the ways between nodes; the next one finds nothing to do', async (t) => {
  const before = await ours(N1)
  await agents[0]?.stop('SIGKILL')
  t.equal(await ours(N1), before)
  t.ok(await reaches('pod-n2', '10.42.1.1'))
  agents[0] = await startNode(N1)
  t.equal((await agents[0].ask('status')).mtuBytes, MTU_BYTES, 'from its first answer on')
  await until('it has looked', async () => (await agents[0]?.ask('status'))?.peers === 2)
  t.equal(await ours(N1), before)
  t.equal(agents[0]?.log.filter(({ msg }) => msg === 'network between nodes set').length, 0)
})

t.teardown(() => Promise.all(agents.map((agent) => agent.stop())))
