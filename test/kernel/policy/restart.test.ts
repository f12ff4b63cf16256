import { rmSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { sleep, until } from '../agent.ts'
import { inside } from '../cluster.ts'
import { Talk } from '../talk.ts'
import { FRIENDS_ALONE, startFriends, tableOfPolicies } from './friends.ts'
import { N1 } from './lab.ts'
import { flood, listenIn } from './sneak.ts'

/** Hard case 7, an agent that ends and starts under traffic; and 8, somebody who flushes all rules. */

const { lab, server, friend, stranger } = await startFriends()
const dropped = async () => {
  const counters = (await inside('n1', 'nft', '-j', 'list', 'counters', 'table', 'inet', 'bramble-policy')).stdout
  const objects: { counter?: { name: string; packets: number } }[] = JSON.parse(counters).nftables
  return objects.find(({ counter }) => counter?.name.startsWith('drop-in'))?.counter?.packets ?? 0
}

t.test(
  'an agent that ends and starts again loses no packet that is allowed, and lets none through that is not',
  async (t) => {
    const talk = await Talk.start('tcp', friend.netns, server.netns, server.addresses[0] ?? '')
    const heard = await listenIn([server.netns])
    const attack = await flood(server.addresses.map((address) => ({ netns: stranger.netns, address })))
    const before = await tableOfPolicies()
    for (const signal of ['SIGTERM', 'SIGKILL', 'SIGTERM'] as const) {
      await lab.restart(N1, signal)
      await talk.goesOn()
      await until(
        'the table is that of the new agent',
        async () => (await lab.agents[0]?.ask('status'))?.policies === 1,
      )
      t.equal(await tableOfPolicies(), before, `after ${signal} the rules are what they were`)
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
  const before = await tableOfPolicies()
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
    await until(`all is as it was before: ${harm}`, async () => (await tableOfPolicies()) === before, 10_000)
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

/** Neither end hears the other any more. */
const cut = (talk: Talk) =>
  until('the talk is cut', async () => {
    const before = talk.heard
    await sleep(200)
    return talk.heard.called === before.called && talk.heard.caller === before.caller
  })

t.test('what began while the rules were gone is cut when they are back', async () => {
  const agent = lab.agents[0]
  agent?.child.kill('SIGSTOP') // so that the moment is long enough
  await inside('n1', 'nft', 'delete table inet bramble-policy')
  const talk = await Talk.start('tcp', stranger.netns, server.netns, server.addresses[0] ?? '')
  agent?.child.kill('SIGCONT')
  await cut(talk)
  await talk.end()
})

for (const [when, isAway] of [
  ['while the agent runs', false],
  ['while none runs', true],
] as const)
  t.test(`what began while nobody could tell whom a policy is for is cut when it is mended ${when}`, async () => {
    lab.put({ ...FRIENDS_ALONE, spec: { ...FRIENDS_ALONE.spec, podSelector: { matchLabels: 'is: server' } } })
    await lab.restart(N1, 'SIGKILL')
    await until('the policy is in force no more', async () => (await lab.agents[0]?.ask('status'))?.policies === 0)
    const talk = await Talk.start('tcp', stranger.netns, server.netns, server.addresses[0] ?? '')
    if (isAway) await lab.end(N1, 'SIGKILL')
    lab.put(FRIENDS_ALONE)
    if (isAway) await lab.begin(N1)
    await cut(talk)
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
  await until('the table is back', async () => (await tableOfPolicies()) !== '')
  t.match((await inside('n1', 'nft', 'list', 'table', 'inet', 'theirs')).stdout, /accept/)
})

t.teardown(() => lab.stop())
