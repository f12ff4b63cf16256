import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import type { Agent } from '../agent.ts'
import { until } from '../agent.ts'
import { inside, type LabNode, podAddresses } from '../cluster.ts'
import { enterScratchNode, run } from '../scratch.ts'
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
  pod,
  startWithKey,
  unreached,
} from './lab.ts'
import { Pings } from './pings.ts'
import { Web } from './web.ts'
import { type Overheard, Wiretap } from './wire.ts'

/* --encrypt: what pods say to pods of other nodes is nowhere on the wire. Nor is it with a little bad luck. */
await enterScratchNode()
await makeLab()

/** 32 bytes that nobody else sends; ping takes 16 and repeats them. */
const HALF = randomBytes(8).toString('hex')
const PATTERN = HALF.repeat(2)
/** As VXLAN and WireGuard would have it at once: pods outlive the change from one to the other. */
const MTU_BYTES = 1440

const announcements = new Map(NODES.map((node) => [node, giveKey(node)]))
for (const node of NODES) announceAs(node, announcements.get(node))
const agents = new Map<string, Agent>()
t.teardown(() => Promise.all([...agents.values()].map((agent) => agent.stop())))

async function startAll(...args: string[]): Promise<void> {
  await Promise.all(
    NODES.map(async (node) => {
      await agents.get(node.name)?.stop()
      agents.set(node.name, await startWithKey(node, ...args))
    }),
  )
  await until('pods meet', async () => (await unreached(MTU_BYTES)).length === 0)
}

await Promise.all(NODES.map(async (node) => agents.set(node.name, await startWithKey(node, '--encrypt'))))
await until('all have all keys', async () =>
  (await Promise.all(NODES.map(objectsOf))).every((text) => text.match(/^wg peer/gm)?.length === 2),
)
await addPods()

/** From the pod of n1 to that of a neighbour, and to that of a node behind the router: pings and TCP, both families. */
async function overhear(t: Test): Promise<Overheard[]> {
  const web = await Web.serve(PATTERN.repeat(2_000), [N2, N3].map(pod))
  const wiretap = await Wiretap.start()
  for (const address of [N2, N3].flatMap(podAddresses)) {
    const hex = Buffer.from(HALF).toString('hex')
    const ping = await inside(pod(N1), 'ping', '-n', '-c', '2', '-W', '5', '-s', '1000', '-p', hex, address)
    t.match(ping.stdout, '2 received', address)
    t.ok(await web.isServed(pod(N1), address), address)
  }
  web.close()
  return wiretap.end()
}

t.test('what pods of different nodes say is nowhere in the clear, on the LAN and through the router', async (t) => {
  for (const { lan, count, packets } of await overhear(t)) {
    t.equal(count(PATTERN), 0, `LAN ${lan}`)
    t.ok((await packets('udp port 51820')) > 100, `LAN ${lan}`)
    t.equal(await packets('net 10.42.0.0/16 or net fd42::/16 or udp port 4789'), 0, `LAN ${lan}`)
  }
  for (const node of NODES) {
    t.notMatch(await objectsOf(node), /bramble\.(vxlan|ipip|gre)/)
    t.match(await agents.get(node.name)?.ask('nodes'), [{ ways: ['wireguard'] }, { ways: ['wireguard'] }])
  }
})

t.test(
  'nothing goes by the default route instead while somebody takes the tunnel, its routes or its peers away',
  async (t) => {
    const before = await objectsOf(N1)
    const address = podAddresses(N3)
    const wiretap = await Wiretap.start()
    const pings = await Promise.all(address.map((one) => Pings.start(pod(N1), one)))
    for (const damage of [
      ['ip', 'link', 'delete', 'bramble.wg'],
      ['ip', 'link', 'set', 'bramble.wg', 'down'],
      ['ip', 'route', 'delete', '10.42.3.0/24', 'dev', 'bramble.wg'],
      ['ip', '-6', 'route', 'delete', 'fd42:0:0:3::/64', 'dev', 'bramble.wg'],
    ]) {
      t.equal((await inside('n1', ...damage)).exitCode, 0, damage.join(' '))
      await until('repaired', async () => (await objectsOf(N1)) === before)
    }
    // A key that is taken back cuts the node off, and opens nothing.
    announceAs(N3)
    await until('the peer is gone', async () => (await objectsOf(N1)).match(/^wg peer/gm)?.length === 1)
    t.match(
      (await inside(pod(N1), 'ping', '-n', '-c', '3', '-i', '0.2', '-W', '1', address[0] ?? '')).stdout,
      ' 0 received',
    )
    announceAs(N3, announcements.get(N3))
    await until('all is as it was', async () => (await objectsOf(N1)) === before)
    const outcomes = await Promise.all(pings.map((one) => one.end()))
    t.ok(
      outcomes.some(({ lost }) => lost.length > 0),
      'there were such moments',
    )
    for (const { lan, packets } of await wiretap.end())
      t.equal(await packets('net 10.42.0.0/16 or net fd42::/16 or udp port 4789'), 0, `LAN ${lan}`)
  },
)

t.test('an agent that encrypts no more removes the link, keys and all, and pods meet in the clear', async (t) => {
  for (const node of NODES) announceAs(node)
  await startAll()
  for (const node of NODES) t.notMatch(await objectsOf(node), /bramble\.wg|^wg /m)
  t.same(await leftOver(N1), '')
})

t.test('and there the wire has it: the same listener finds what the pods say', async (t) => {
  for (const { lan, count, packets } of await overhear(t)) {
    t.ok(count(PATTERN) > 2_000, `LAN ${lan}`)
    t.ok((await packets('udp port 4789')) > 10, `LAN ${lan}`)
    t.equal(await packets('udp port 51820'), 0, `LAN ${lan}`)
  }
})

/** Blackholes of encrypted times. */
async function leftOver({ name }: LabNode): Promise<string> {
  const [ipv4, ipv6] = [await run('ip', '-n', name, 'route'), await run('ip', '-n', name, '-6', 'route')]
  return `${ipv4}${ipv6}`
    .split('\n')
    .filter((line) => line.includes('2147483647'))
    .join('\n')
}
