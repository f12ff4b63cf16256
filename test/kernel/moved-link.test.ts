import t from 'tap'
import { type Agent, until } from './agent.ts'
import { addPodOn, announce, inside, type LabNode, makeLans, plugIn, reaches, startNode } from './cluster.ts'
import { enterScratchNode, makeNetns, run } from './scratch.ts'

/*
 * Somebody moves our VXLAN link into another network namespace. Its number and port stay taken where it was made, and
 * the kernel refuses another one there (EEXIST).
 */
await enterScratchNode()
await makeLans()
const N1: LabNode = { name: 'n1', number: 1, lan: 'a' }
const N3: LabNode = { name: 'n3', number: 3, lan: 'b' }
const NODES = [N1, N3]
for (const node of NODES) {
  await plugIn(node)
  announce(node)
}
await makeNetns('elsewhere')
await makeNetns('beyond')
const agents = new Map<string, Agent>()
for (const node of NODES) agents.set(node.name, await startNode(node))
await addPodOn(N3)
const agentOf = ({ name }: LabNode) => agents.get(name) as Agent
const problems = async () => (await agentOf(N1).ask('status')).problems
const linksIn = async (netns: string) => (await inside(netns, 'ip', '-o', 'link', 'show', 'type', 'vxlan')).stdout
const vxlanOfN1 = async () => (await inside('n1', 'ip', '-d', '-o', 'link', 'show', 'bramble.vxlan')).stdout
const meet = (what: string) => until(what, () => reaches('n1', '10.42.3.1'))
const whileStopped = async (work: () => Promise<void>) => {
  await agentOf(N1).stop()
  await work()
  agents.set('n1', await startNode(N1))
}
await meet('n1 reaches the pod of n3')
const [, mac = ''] = /link\/ether (\S+)/.exec(await vxlanOfN1()) ?? []

for (const [what, names] of [
  ['', []],
  [' under another name', ['name', 'theirs']],
] as const)
  t.test(`a link that is moved away${what} is fetched back: it goes there, and is made anew here`, async (t) => {
    await run('ip', '-n', 'n1', 'link', 'set', 'bramble.vxlan', 'netns', 'elsewhere', ...names)
    await meet('n1 reaches the pod again')
    t.equal(await linksIn('elsewhere'), '')
    t.match(await vxlanOfN1(), mac)
    await until('nothing is amiss', async () => (await problems()).length === 0)
  })

t.test('where the next agent finds it gone, too', async (t) => {
  await whileStopped(() => run('ip', '-n', 'n1', 'link', 'set', 'bramble.vxlan', 'netns', 'elsewhere').then(() => {}))
  await meet('n1 reaches the pod again')
  t.equal(await linksIn('elsewhere'), '')
})

t.test('links that others have there stay, also one that is named like ours and was made there', async (t) => {
  const theirs = ['type', 'vxlan', 'id', '4096', 'dstport', '4789', 'nolearning']
  await run('ip', '-n', 'elsewhere', 'link', 'add', 'bramble.vxlan', ...theirs)
  await run('ip', '-n', 'n1', 'link', 'add', 'docker', 'type', 'vxlan', 'id', '4097', 'dstport', '4789')
  await run('ip', '-n', 'n1', 'link', 'set', 'docker', 'netns', 'elsewhere')
  const before = await linksIn('elsewhere')
  await run('ip', '-n', 'n1', 'link', 'set', 'bramble.vxlan', 'netns', 'elsewhere', 'name', 'ours')
  await meet('n1 reaches the pod again')
  t.equal(await linksIn('elsewhere'), before)
  for (const name of ['docker', 'bramble.vxlan']) await run('ip', '-n', 'elsewhere', 'link', 'delete', name)
})

t.test(
  'what cannot be fetched back is said with the command that finds it, and all is well when it has gone',
  async (t) => {
    await whileStopped(async () => {
      await run('ip', '-n', 'n1', 'link', 'set', 'bramble.vxlan', 'netns', 'elsewhere')
      await run('ip', '-n', 'elsewhere', 'link', 'set', 'bramble.vxlan', 'netns', 'beyond')
    })
    const said =
      /^link bramble\.vxlan .* cannot be set: a link that was made on this node and is in another network namespace now has VXLAN 4096 on port 4789; find it with "ip -all netns exec ip -d link show type vxlan" and delete it there, or choose another --vxlan-vni: EEXIST$/
    await until('it is said', async () => (await problems()).some((one) => said.test(one)))
    t.match(
      await run('ip', '-all', 'netns', 'exec', 'ip', '-d', 'link', 'show', 'type', 'vxlan'),
      /netns: beyond\n.*bramble\.vxlan/,
    )
    await run('ip', '-n', 'beyond', 'link', 'delete', 'bramble.vxlan')
    await meet('n1 reaches the pod again')
    await until('nothing is amiss', async () => (await problems()).length === 0)
  },
)

t.test("another's link that was made here and moved, with our number, is named and stays", async (t) => {
  await whileStopped(async () => {
    await run('ip', '-n', 'n1', 'link', 'delete', 'bramble.vxlan')
    await run('ip', '-n', 'n1', 'link', 'add', 'vx1', 'type', 'vxlan', 'id', '4096', 'dstport', '4789')
    await run('ip', '-n', 'n1', 'link', 'set', 'vx1', 'netns', 'elsewhere')
  })
  const said =
    /link vx1 in another network namespace \("ip netns list-id": (\d+)\) has VXLAN 4096 on port 4789 of this node/
  await until('it is said', async () => (await problems()).some((one) => said.test(one)))
  const [, netnsId] = said.exec((await problems()).join('\n')) ?? []
  t.match(await run('ip', '-n', 'n1', 'netns', 'list-id'), `nsid ${netnsId} (iproute2 netns name: elsewhere)`)
  t.match(await linksIn('elsewhere'), 'vx1')
  await run('ip', '-n', 'elsewhere', 'link', 'delete', 'vx1')
  await meet('n1 reaches the pod again')
})

t.teardown(() => Promise.all([...agents.values()].map((agent) => agent.stop())))
