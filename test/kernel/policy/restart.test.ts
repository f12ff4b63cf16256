import { rmSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { sleep, until } from '../agent.ts'
import { inside } from '../cluster.ts'
import { Talk } from '../talk.ts'
import { N1, PolicyLab } from './lab.ts'
import { flood, listenIn } from './sneak.ts'

/** Hard case 7, an agent that ends and starts under traffic; and 8, somebody who flushes all rules. */

const lab = await PolicyLab.start([N1])
const TABLE = ['list', 'table', 'inet', 'bramble-policy']
lab.put({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { namespace: 'closed', name: 'friends-alone' },
  spec: { podSelector: {}, ingress: [{ from: [{ podSelector: { matchLabels: { is: 'friend' } } }] }] },
})
const server = await lab.addPod({ namespace: 'closed', name: 'server', labels: { is: 'server' } })
const friend = await lab.addPod({ namespace: 'closed', name: 'friend', labels: { is: 'friend' } })
const stranger = await lab.addPod({ namespace: 'open', name: 'stranger' })
const text = async () => (await inside('n1', 'nft', ...TABLE)).stdout
/** What is the same in any order: who came later is listed later. */
const rules = async () => {
  const lines = (await text()).replaceAll(/packets \d+ bytes \d+/g, '').split(/[\n,]/)
  return lines
    .map((line) => line.trim())
    .filter((line) => !/ expires /.test(line)) // who was told of lately
    .sort()
}
const dropped = async () => {
  const counters = (await inside('n1', 'nft', '-j', 'list', 'counters', 'table', 'inet', 'bramble-policy')).stdout
  const objects: { counter?: { name: string; packets: number } }[] = JSON.parse(counters).nftables
  return objects.find(({ counter }) => counter?.name.startsWith('drop-in'))?.counter?.packets ?? 0
}
await until('the friend may', async () => /pods4-/.test(await text()))

t.test(
  'an agent that ends and starts again loses no packet that is allowed, and lets none through that is not',
  async (t) => {
    const talk = await Talk.start('tcp', friend.netns, server.netns, server.addresses[0] ?? '')
    const heard = await listenIn([server.netns])
    const attack = await flood(server.addresses.map((address) => ({ netns: stranger.netns, address })))
    const before = await rules()
    for (const signal of ['SIGTERM', 'SIGKILL', 'SIGTERM'] as const) {
      await lab.restart(N1, signal)
      await talk.goesOn()
      await until(
        'the table is that of the new agent',
        async () => (await lab.agents[0]?.ask('status'))?.policies === 1,
      )
      t.same(await rules(), before, `after ${signal} the rules are what they were`)
    }
    t.ok((await attack()) > 0)
    t.equal(await heard(), 0)
    await talk.end()
  },
)

t.test('counters go on from where they were when the next agent takes over', async (t) => {
  const attack = await flood(server.addresses.map((address) => ({ netns: stranger.netns, address })))
  await until('drops are counted', async () => (await dropped()) > 0)
  await attack()
  const before = await dropped()
  await lab.restart(N1, 'SIGTERM')
  await until('it has taken over', async () => (await lab.agents[0]?.ask('status'))?.policies === 1)
  t.ok((await dropped()) >= before)
})

t.test('while no agent runs, the rules stay in force', async (t) => {
  await lab.end(N1, 'SIGKILL')
  const heard = await listenIn([server.netns])
  const attack = await flood(server.addresses.map((address) => ({ netns: stranger.netns, address })))
  await sleep(300)
  t.ok((await attack()) > 0)
  t.equal(await heard(), 0)
  await lab.begin(N1)
})

t.test('hard case 8: rules that somebody flushes are back as they were, and status tells', async (t) => {
  await until('it has taken over', async () => (await lab.agents[0]?.ask('status'))?.policies === 1)
  const before = await rules()
  for (const harm of [
    'flush ruleset',
    'delete table inet bramble-policy',
    'flush table inet bramble-policy',
    'flush map inet bramble-policy ingress4',
    'add table inet theirs; flush map inet bramble-policy ingress4; delete table inet theirs',
    'flush set inet bramble-policy links4',
    'insert rule inet bramble-policy forward accept',
    'add table inet bramble-policy { flags dormant; }',
  ]) {
    const done = await inside('n1', 'nft', harm)
    t.equal(done.exitCode, 0, `${harm} ${done.stderr}`)
    await until(`all is as it was before: ${harm}`, async () => String(await rules()) === String(before), 10_000)
  }
  const status = await lab.agents[0]?.ask('status')
  t.match(status?.detail?.repairs, [{ loop: 'policies', text: /^the table of policies \(/ }])
  t.same(status?.problems, [], 'it is over')
  const attack = await flood(server.addresses.map((address) => ({ netns: stranger.netns, address })))
  const heard = await listenIn([server.netns])
  await sleep(200)
  await attack()
  t.equal(await heard(), 0)
})

t.test('what began while the rules were gone is cut when they are back', async () => {
  const agent = lab.agents[0]
  agent?.child.kill('SIGSTOP') // so that the moment is long enough
  await inside('n1', 'nft', 'delete table inet bramble-policy')
  const talk = await Talk.start('tcp', stranger.netns, server.netns, server.addresses[0] ?? '')
  agent?.child.kill('SIGCONT')
  await until('the talk is cut', async () => {
    const before = talk.heard
    await sleep(200)
    return talk.heard.called === before.called && talk.heard.caller === before.caller
  })
  await talk.end()
})

t.test('an agent that starts while a manifest cannot be read opens nothing', async (t) => {
  const broken = '/run/cluster/broken.yaml'
  const heard = await listenIn([server.netns])
  const attack = await flood(server.addresses.map((address) => ({ netns: stranger.netns, address })))
  writeFileSync(broken, 'kind: [')
  await lab.restart(N1, 'SIGKILL')
  const problems = async () => (await lab.agents[0]?.ask('status'))?.problems.join('\n') ?? ''
  await until('it is told', async () => /broken\.yaml.*no policy changes until it can be read/.test(await problems()))
  await sleep(300)
  rmSync(broken)
  await until('the policies are known', async () => (await lab.agents[0]?.ask('status'))?.policies === 1)
  t.notMatch(await problems(), /broken/)
  t.ok((await attack()) > 0)
  t.equal(await heard(), 0)
})

t.test('what others have in the ruleset stays', async (t) => {
  await inside('n1', 'nft', 'add table inet theirs; add chain inet theirs c; add rule inet theirs c accept')
  await lab.restart(N1, 'SIGTERM')
  await inside('n1', 'nft', 'delete table inet bramble-policy')
  await until('the table is back', async () => (await text()) !== '')
  t.match((await inside('n1', 'nft', 'list', 'table', 'inet', 'theirs')).stdout, /accept/)
})

t.teardown(() => lab.stop())
