import t from 'tap'
import type { Agent } from '../agent.ts'
import { until } from '../agent.ts'
import { type LabNode, startNode } from '../cluster.ts'
import { enterScratchNode, makeNetns, run } from '../scratch.ts'
import { addPods, announceAs, makeLab, N1, NODES, objectsOf, unreached } from './lab.ts'
import { keepsPromises, repairs } from './promises.ts'

/* --routing ipip: IPv4 pods through IPIP, IPv6 pods through GRE. */
await enterScratchNode()
await makeLab()
const MTU_BYTES = 1476 // 1500 less what GRE takes

for (const node of NODES) announceAs(node)
const start = (node: LabNode) => startNode(node, '--routing', 'ipip')
const agents = new Map<string, Agent>(
  await Promise.all(NODES.map(async (node) => [node.name, await start(node)] as const)),
)
t.teardown(() => Promise.all([...agents.values()].map((agent) => agent.stop())))
await addPods()
await makeNetns('elsewhere')

t.test('on the LAN and behind the router alike, the node itself is the gateway of its pods', async (t) => {
  await until('all ways are there', async () => (await run('ip', '-n', 'n1', '-6', 'route')).includes('fd42:0:0:3::'))
  const ipv4 = await run('ip', '-n', 'n1', 'route', 'show', 'proto', '97')
  t.match(ipv4, '10.42.2.0/24 via 192.168.1.2 dev bramble.ipip onlink')
  t.match(ipv4, '10.42.3.0/24 via 192.168.2.3 dev bramble.ipip onlink')
  const ipv6 = await run('ip', '-n', 'n1', '-6', 'route', 'show', 'proto', '97')
  t.match(ipv6, 'fd42:0:0:2::/64 via ::192.168.1.2 dev bramble.gre')
  t.match(ipv6, 'fd42:0:0:3::/64 via ::192.168.2.3 dev bramble.gre')
  t.match(await agents.get('n1')?.ask('nodes'), [{ ways: ['ipip', 'gre'], problems: [] }, { ways: ['ipip', 'gre'] }])
})

keepsPromises(t, {
  mtuBytes: MTU_BYTES,
  links: { 'bramble.ipip': 1480, 'bramble.gre': 1476 },
  agents,
  start,
  announce: (node, address) => announceAs(node, undefined, address),
})

t.test('what somebody deletes or changes is undone', async (t) => {
  await repairs(t, [
    ['ip', 'route', 'delete', '10.42.2.0/24'],
    ['ip', '-6', 'route', 'delete', 'fd42:0:0:3::/64'],
    ['ip', 'route', 'replace', '10.42.3.0/24', 'via', '192.168.1.254', 'proto', '97'],
    ['ip', 'neighbour', 'flush', 'dev', 'bramble.gre', 'nud', 'permanent'],
    ['ip', 'address', 'flush', 'dev', 'bramble.ipip'],
    ['ip', 'link', 'set', 'bramble.ipip', 'mtu', '1200'],
    ['ip', 'link', 'set', 'bramble.gre', 'down'],
    ['ip', 'tunnel', 'change', 'bramble.ipip', 'mode', 'ipip', 'local', '192.168.1.77'],
    ['ip', 'link', 'delete', 'bramble.ipip'],
    ['ip', 'link', 'delete', 'bramble.gre'],
    // Where it was made its address stays taken, wherever it is.
    ['ip', 'link', 'set', 'bramble.ipip', 'netns', 'elsewhere'],
    ['ip', 'link', 'set', 'bramble.gre', 'netns', 'elsewhere'],
  ])
  t.notMatch(await run('ip', '-n', 'elsewhere', 'link'), 'bramble.')
  t.same(await unreached(MTU_BYTES), [])
})

t.test("what is not ours stays: another's tunnels, and the kernel's own", async (t) => {
  const other = ['local', '192.168.1.1', 'remote', '192.168.1.99', 'ttl', '64']
  await run('ip', '-n', 'n1', 'link', 'add', 'flannel.ipip', 'type', 'ipip', ...other)
  await run('ip', '-n', 'n1', 'route', 'delete', '10.42.2.0/24') // makes the agent look
  await until('it has looked', async () => (await objectsOf(N1)).includes('10.42.2.0/24'))
  const links = await run('ip', '-n', 'n1', '-o', 'link')
  for (const name of ['flannel.ipip', 'tunl0', 'gre0']) t.match(links, `: ${name}@`)
})
