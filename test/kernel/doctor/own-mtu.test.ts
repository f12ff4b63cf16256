import t from 'tap'
import { until } from '../agent.ts'
import { announce, type LabNode, makeLans, plugIn, startNode } from '../cluster.ts'
import { enterScratchNode, run } from '../scratch.ts'
import { diagnosedOn } from './doctor.ts'

/* Three nodes on one network, and the uplink of one takes less than the others send: it cannot see that by what it sends itself. */
const NODES: readonly LabNode[] = [1, 2, 3].map((number) => ({ name: `n${number}`, number, lan: 'a' }))

await enterScratchNode()
await makeLans()
for (const node of NODES) {
  await plugIn(node)
  announce(node)
}
const agents = await Promise.all(NODES.map((node) => startNode(node)))
t.after(() => Promise.all(agents.map((agent) => agent.stop())))
for (const agent of agents)
  await until('it has its ways to the others', async () => {
    const peers = await agent.ask('nodes')
    return peers.length === 2 && peers.every(({ ways }) => ways.length > 0 && !ways.includes('none'))
  })

const about = async (node: string) =>
  (await diagnosedOn(node)).findings.filter(({ check }) => check === 'own-mtu' || check === 'path-mtu')

t.test('where all take the same, nobody is told of it', async (t) => {
  t.same(await about('n1'), [])
})

t.test('the node that takes less is told of it, and the others of the way to it', async (t) => {
  await run('ip', '-n', 'n3', 'link', 'set', 'eth0', 'mtu', '1400')
  await until('its agent has seen it', async () => (await agents[2]?.ask('mtu'))?.steps[0]?.bytes === 1400)
  t.match(await about('n3'), [
    {
      check: 'own-mtu',
      what: /^packets as large as those of n1 \(\S+\), n2 \(\S+\) do not get here; .* no more than 1400 bytes$/,
    },
  ])
  t.match(await about('n1'), [{ check: 'path-mtu', what: /^packets of 1450 bytes do not get to n3 .*; 140\d do$/ }])
  await run('ip', '-n', 'n3', 'link', 'set', 'eth0', 'mtu', '1500')
  await until('its agent has seen that, too', async () => (await agents[2]?.ask('mtu'))?.steps[0]?.bytes === 1500)
  t.same(await about('n3'), [])
})

t.end()
