import t from 'tap'
import type { Agent } from '../agent.ts'
import { sleep, until } from '../agent.ts'
import { inside, type LabNode } from '../cluster.ts'
import { enterScratchNode, makeNetns, run } from '../scratch.ts'
import {
  addPods,
  announceAs,
  giveKey,
  makeLab,
  N1,
  N2,
  N3,
  NODES,
  objectsOf,
  startWithKey,
  unreached,
  writeManifest,
} from './lab.ts'
import { keepsPromises, repairs } from './promises.ts'

/* --routing wireguard, with the folder of manifests, where a person tells the others of each node's key. */
await enterScratchNode()
await makeLab()
await makeNetns('elsewhere')
const MTU_BYTES = 1440 // 1500 less what WireGuard takes over IPv4

const announcements = new Map(NODES.map((node) => [node, giveKey(node)]))
for (const node of NODES) announceAs(node)
const start = (node: LabNode) => startWithKey(node, '--routing', 'wireguard', '--wireguard-keepalive', '25')
const agents = new Map<string, Agent>(
  await Promise.all(NODES.map(async (node) => [node.name, await start(node)] as const)),
)
t.teardown(() => Promise.all([...agents.values()].map((agent) => agent.stop())))
const ask = (node: LabNode) => agents.get(node.name) as Agent
const publicKey = (node: LabNode) => announcements.get(node)?.wireguard?.publicKey ?? ''

t.test(
  'as long as nobody knows the keys of the others, status says what to do, and nothing leaves the node',
  async (t) => {
    await until('it is said', async () => (await ask(N1).ask('status')).problems.length === 2)
    for (const problem of (await ask(N1).ask('status')).problems)
      t.match(problem, /^n[23] has announced no WireGuard key; .*: see bramblectl node manifest$/)
    t.match(await run('ip', '-n', 'n1', 'route', 'show', 'proto', '97'), /^blackhole 10\.42\.3\.0\/24 metric \d+/m)
  },
)

t.test('what "bramblectl node manifest" prints on each node, put into the folder, is all it takes', async (t) => {
  for (const node of NODES) writeManifest(node, await ask(node).ask('node manifest'))
  await until('all have all keys', async () =>
    (await Promise.all(NODES.map(objectsOf))).every((text) => text.match(/^wg peer/gm)?.length === 2),
  )
  await addPods() // which get the MTU that the tunnel leaves
  t.same(await unreached(MTU_BYTES), [])
  for (const node of NODES) t.same((await ask(node).ask('status')).problems, [])
})

t.test('a route per node, and a peer with its key, place and addresses', async (t) => {
  const objects = await objectsOf(N1)
  for (const peer of [N2, N3]) {
    t.match(objects, `unicast 10.42.${peer.number}.0/24 dev bramble.wg`)
    const address = peer === N2 ? '192.168.1.2' : '192.168.2.3'
    const allowed = `10.42.${peer.number}.0/24,fd42:0:0:${peer.number}::/64`
    t.match(objects, `wg peer ${publicKey(peer)} ${address}:51820 ${allowed} 25`)
  }
  t.match(objects, `wg ${publicKey(N1)} port 51820`)
  t.match(await ask(N1).ask('nodes'), [{ ways: ['wireguard'] }, { ways: ['wireguard'] }])
})

keepsPromises(t, {
  mtuBytes: MTU_BYTES,
  links: { 'bramble.wg': 1440 },
  agents,
  start,
  announce: (node, address) => announceAs(node, announcements.get(node), address),
})

t.test('sessions outlive the agent: it is the same link with the same counters', async (t) => {
  const received = async () => (await inside('n1', 'wg', 'show', 'bramble.wg', 'transfer')).stdout
  const bytes = async () => [...(await received()).matchAll(/\t(\d+)\t/g)].map(([, number]) => Number(number))
  const before = await bytes()
  await ask(N1).stop('SIGTERM')
  agents.set('n1', await start(N1))
  t.same(await unreached(MTU_BYTES), [])
  const after = await bytes()
  t.equal(after.length, 2)
  for (const [index, count] of after.entries()) t.ok(count > (before[index] ?? 0) && (before[index] ?? 0) > 0)
})

t.test('what somebody deletes or changes is undone, and the peers come back with the link', async (t) => {
  await repairs(t, [
    ['ip', 'route', 'delete', '10.42.2.0/24', 'dev', 'bramble.wg'],
    ['ip', 'route', 'delete', 'blackhole', '10.42.2.0/24'],
    ['ip', '-6', 'route', 'delete', 'fd42:0:0:3::/64', 'dev', 'bramble.wg'],
    ['ip', '-6', 'route', 'delete', 'blackhole', 'fd42:0:0:3::/64'],
    ['ip', 'address', 'flush', 'dev', 'bramble.wg'],
    ['ip', 'link', 'set', 'bramble.wg', 'mtu', '1280'],
    ['ip', 'link', 'set', 'bramble.wg', 'down'],
    ['ip', 'link', 'delete', 'bramble.wg'],
    ['ip', 'link', 'set', 'bramble.wg', 'netns', 'elsewhere'],
  ])
  await run('ip', '-n', 'elsewhere', 'link', 'delete', 'bramble.wg') // which nothing tells to be ours
  t.same(await unreached(MTU_BYTES), [])
})

t.test('a link that was moved away and is up there has the port: status says how to end it', async (t) => {
  await ask(N1).stop()
  await run('ip', '-n', 'n1', 'link', 'set', 'bramble.wg', 'netns', 'elsewhere')
  await run('ip', '-n', 'elsewhere', 'link', 'set', 'bramble.wg', 'up')
  agents.set('n1', await start(N1))
  const said = /UDP port 51820 is taken: .* "ip netns exec NETNS ip link delete bramble\.wg"/
  const problems = async () => (await ask(N1).ask('status')).problems
  await until('it is said', async () => (await problems()).some((one) => said.test(one)))
  await run('ip', 'netns', 'exec', 'elsewhere', 'ip', 'link', 'delete', 'bramble.wg')
  await until('pods meet again', async () => (await unreached(MTU_BYTES)).length === 0)
  await until('nothing is amiss', async () => (await problems()).length === 0)
  t.pass()
})

t.test(
  "the link's key and port, and its peers, of which no event tells, are looked at every few seconds",
  async (t) => {
    const stranger = 'c3RyYW5nZXIgc3RyYW5nZXIgc3RyYW5nZXIgc3RyYW4='
    const damages: readonly (readonly [LabNode, ...string[]])[] = [
      [N1, 'peer', publicKey(N2), 'remove'],
      [N1, 'peer', stranger, 'allowed-ips', '10.42.3.0/24'], // and takes them from n3
      [N2, 'listen-port', '51999'],
      [N3, 'private-key', '/run/n1.key'],
    ]
    const before = await Promise.all(NODES.map(objectsOf))
    for (const [node, ...words] of damages)
      await run('ip', 'netns', 'exec', node.name, 'wg', 'set', 'bramble.wg', ...words)
    for (const [index, node] of NODES.entries()) t.not(await objectsOf(node), before[index], node.name)
    await until(
      'all is as it was',
      async () => (await Promise.all(NODES.map(objectsOf))).every((text, index) => text === before[index]),
      60_000, // far below the five minutes after which everything is looked at
    )
    await until('pods meet again', async () => (await unreached(MTU_BYTES)).length === 0)
    const sets = () =>
      [...agents.values()].flatMap(({ log }) => log.filter(({ msg }) => msg === 'network between nodes set'))
    const { length } = sets()
    await sleep(5_000) // two looks
    t.equal(sets().length, length, 'and where nothing is amiss nothing is set')
  },
)

t.test(
  'a node that is made anew, with another key under the same name, is the same to all; the old key is gone',
  async (t) => {
    const old = publicKey(N3)
    await ask(N3).stop('SIGKILL')
    await run('ip', '-n', 'n3', 'link', 'delete', 'bramble.wg')
    announcements.set(N3, giveKey(N3))
    agents.set('n3', await start(N3))
    announceAs(N3, announcements.get(N3))
    await until('pods meet again', async () => (await unreached(MTU_BYTES)).length === 0)
    for (const node of [N1, N2]) {
      const objects = await objectsOf(node)
      t.match(objects, publicKey(N3))
      t.notMatch(objects, old)
      t.equal(objects.match(/^wg peer/gm)?.length, 2)
    }
  },
)

t.test('another port is told to the others, who send there', async (t) => {
  await ask(N2).stop()
  agents.set('n2', await startWithKey(N2, '--routing', 'wireguard', '--wireguard-port', '51999'))
  writeManifest(N2, await ask(N2).ask('node manifest'))
  await until('n1 sends there', async () => (await objectsOf(N1)).includes('192.168.1.2:51999'))
  await until('pods meet again', async () => (await unreached(MTU_BYTES)).length === 0)
  t.match(await objectsOf(N2), /^wg \S+ port 51999$/m)
})
