import t from 'tap'
import type { Agent } from '../agent.ts'
import { sleep, until } from '../agent.ts'
import { type LabNode, lanAddress } from '../cluster.ts'
import { enterScratchNode, run } from '../scratch.ts'
import { addPods, announceAs, giveKey, makeLab, N1, N2, N3, NODES, startWithKey, unreached } from './lab.ts'

/*
 * Where WireGuard sends what is for a peer: it follows the peer's last packet by itself, and the agent lets it, as long
 * as the peer answers. Who does not for REJECT_AFTER_TIME (180 s) is sought where it has announced that it is.
 */
await enterScratchNode()
await makeLab()
const NOWHERE = '192.168.1.254:9' // the router, which listens at no port
const MTU_BYTES = 1440
const announcements = new Map(NODES.map((node) => [node, giveKey(node)]))
for (const node of NODES) announceAs(node, announcements.get(node))
const agents = new Map<LabNode, Agent>()
for (const node of NODES)
  agents.set(node, await startWithKey(node, '--routing', 'wireguard', '--wireguard-keepalive', '5'))
t.teardown(() => Promise.all([...agents.values()].map((agent) => agent.stop())))
await addPods()
await until('pods meet', async () => (await unreached(MTU_BYTES)).length === 0)

const keyOf = (node: LabNode) => announcements.get(node)?.wireguard?.publicKey ?? ''
const wg = ({ name }: LabNode, ...words: string[]) => run('ip', 'netns', 'exec', name, 'wg', ...words)
const endpoint = async (on: LabNode, peer: LabNode) => {
  const lines = (await wg(on, 'show', 'bramble.wg', 'endpoints')).split('\n').map((line) => line.split('\t'))
  return lines.find(([key]) => key === keyOf(peer))?.[1]
}
const sendElsewhere = (on: LabNode, peer: LabNode) =>
  wg(on, 'set', 'bramble.wg', 'peer', keyOf(peer), 'endpoint', NOWHERE)
const announced = (node: LabNode) => `${lanAddress(node)}:51820`
const sets = () =>
  [...agents.values()].flatMap(({ log }) => log.filter(({ msg }) => msg === 'network between nodes set')).length

t.test('another endpoint that somebody sets is over with the next packet of the peer', async () => {
  await sendElsewhere(N1, N3)
  await until('n1 follows n3', async () => (await endpoint(N1, N3)) === announced(N3))
  await until('pods meet', async () => (await unreached(MTU_BYTES)).length === 0)
})

t.test('a peer that speaks from another place and answers, as behind NAT, is left there', async (t) => {
  const before = sets()
  const source = ['ip', 'saddr', lanAddress(N3), 'udp', 'sport', '51820', 'snat', 'to', '192.168.1.254:40000']
  await run('nft', 'add', 'table', 'ip', 'nat')
  await run('nft', 'add', 'chain', 'ip', 'nat', 'post', '{ type nat hook postrouting priority 100; }')
  await run('nft', 'add', 'rule', 'ip', 'nat', 'post', ...source)
  // Of the flow that there is already the router would go on as before.
  await run('ip', '-n', 'n3', 'link', 'set', 'bramble.wg', 'down')
  await until('n3 speaks from there', async () => (await endpoint(N1, N3)) === '192.168.1.254:40000', 150_000)
  await sleep(6_000) // two looks
  t.equal(await endpoint(N1, N3), '192.168.1.254:40000')
  await until('pods meet', async () => (await unreached(MTU_BYTES)).length === 0)
  const others = sets() - before
  t.ok(others <= 1, `${others}: the link that was down, and nothing for the endpoint`)
})

t.test(
  'two that were both sent elsewhere hear nothing of each other: each is sought at its address again',
  async (t) => {
    await sendElsewhere(N1, N2)
    await sendElsewhere(N2, N1)
    t.ok((await unreached(84, [N1, N2])).length > 0)
    const areBack = async () => {
      await sleep(3_000) // an emulated processor that rests keeps the time
      return (await endpoint(N1, N2)) === announced(N2) && (await endpoint(N2, N1)) === announced(N1)
    }
    await until('they are where they were', areBack, 280_000) // everything is looked at after five minutes
    await until('pods meet', async () => (await unreached(MTU_BYTES, [N1, N2])).length === 0)
  },
)
