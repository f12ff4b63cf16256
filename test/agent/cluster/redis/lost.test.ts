import { cpSync, rmSync } from 'node:fs'
import t from 'tap'
import { Member, until } from './member.ts'
import { RedisServer } from './server.ts'

t.jobs = 4 // they wait most of the time

/** Two nodes that know each other. */
async function startCluster(t: Parameters<typeof RedisServer.start>[0]) {
  const server = await RedisServer.start(t)
  const one = await Member.start(t, server.url, 'pi-1')
  const two = await Member.start(t, server.url, 'pi-2', { address: '192.168.1.2' })
  await until('they know each other', () => one.nodes.size === 2)
  return { server, one, two }
}

t.test('Redis comes back as it was yesterday: who joined since is in every view, and gets what it had', async (t) => {
  const { server, one } = await startCluster(t)
  cpSync(server.path('appendonlydir'), server.path('yesterday'), { recursive: true })
  const late = await Member.start(t, server.url, 'pi-3', { address: '192.168.1.3' })
  await until('the late one is known', () => one.nodes.has('pi-3'))
  const count = one.changes.length
  await server.stop('SIGKILL')
  rmSync(server.path('appendonlydir'), { recursive: true })
  cpSync(server.path('yesterday'), server.path('appendonlydir'), { recursive: true })
  await server.start()
  await until('the late one is back', async () => (await server.admin.hget('bramble:leases', 'pi-3')) === '4:2')
  late.source.announce({ encapsulations: ['vxlan'] })
  await until('it is heard', () => one.nodes.get('pi-3')?.announcement !== undefined)
  t.ok(one.changes.slice(count).every(({ view }) => view?.nodes.has('pi-3')))
})

t.test('a node whose pod CIDR somebody got while Redis had forgotten it says who, and keeps its view', async (t) => {
  const { server, one } = await startCluster(t)
  await server.admin
    .multi()
    .hdel('bramble:leases', 'pi-1')
    .hdel('bramble:nodes', 'pi-1')
    .hset('bramble:leases', 'thief', '4:0')
    .hset('bramble:cidrs', '4:0', 'thief')
    .exec()
  const said = /Node thief has got 10\.42\.0\.0\/24 in Redis, which this node's pods have; /
  await until('it is told', () => said.test(one.reasons))
  t.same(one.shown, ['pi-1 10.42.0.0/24', 'pi-2 10.42.1.0/24'])
  t.equal(await server.admin.hget('bramble:cidrs', '4:0'), 'thief')
})

const SWAPPED =
  /Redis has 10\.42\.(\d)\.0\/24 for this node, whose pods have 10\.42\.(?!\1)\d\.0\/24; if that is right, drain/

t.test(
  'the leases of two nodes are swapped by hand: both say so soon, and that it is over; no view changes',
  async (t) => {
    const { server, one, two } = await startCluster(t)
    const before = [one.shown, two.shown]
    const lease = (name: string, index: string) =>
      server.admin.multi().hset('bramble:leases', name, index).hset('bramble:cidrs', index, name).exec()
    await lease('pi-1', '4:1')
    await lease('pi-2', '4:0')
    for (const member of [one, two]) await until('it is told', () => SWAPPED.test(member.reasons))
    t.same([one.shown, two.shown], before)
    await lease('pi-1', '4:0')
    await lease('pi-2', '4:1')
    for (const member of [one, two]) await until('it is over', () => member.reasons === '')
    t.same([one.shown, two.shown], before)
  },
)

t.test(
  'a lease that is no lease, as nobody could hold it, is put right, for an agent that runs and for one that starts',
  async (t) => {
    const { server, one } = await startCluster(t)
    const lease = (name: string) => server.admin.hget('bramble:leases', name)
    await server.admin.hset('bramble:leases', 'pi-1', '4:99999999999999999999', 'pi-2', 'x'.repeat(100_000))
    await until('they are right', async () => (await lease('pi-1')) === '4:0' && (await lease('pi-2')) === '4:1')
    await one.source.close()
    await server.admin.hset('bramble:leases', 'pi-1', '4:300')
    const again = await Member.start(t, server.url, 'pi-1', { formerCidrs: one.nodes.get('pi-1')?.podCidrs ?? [] })
    t.same(again.shown, ['pi-1 10.42.0.0/24', 'pi-2 10.42.1.0/24'])
  },
)

t.test(
  'the CIDRs of the cluster are others, as somebody has set them: that is said soon, and no view changes',
  async (t) => {
    const { server, one } = await startCluster(t)
    await server.admin.hset('bramble:cluster', '4', '10.99.0.0/16 in /24')
    await until('it is told', () => /the cluster in Redis has the pod CIDRs 10\.99\.0\.0\/16/.test(one.reasons))
    t.same(one.shown, ['pi-1 10.42.0.0/24', 'pi-2 10.42.1.0/24'])
  },
)

t.test('a Node that is changed by hand, without a word in the stream, is put right soon', async (t) => {
  const { server, one } = await startCluster(t)
  const text = (await server.admin.hget('bramble:nodes', 'pi-1')) ?? ''
  await server.admin.hset('bramble:nodes', 'pi-1', text.replace('10.42.0.0/24', '10.42.9.0/24'))
  await until('it is as it was', async () => (await server.admin.hget('bramble:nodes', 'pi-1')) === text)
  t.same(one.shown, ['pi-1 10.42.0.0/24', 'pi-2 10.42.1.0/24'])
})

t.test(
  'a dump comes back in which two nodes have the CIDRs of each other: nobody seeks their pods there',
  async (t) => {
    const server = await RedisServer.start(t)
    for (const [name, address] of [
      ['pi-2', '192.168.1.2'],
      ['pi-1', '192.168.1.1'],
    ] as const)
      await (await Member.start(t, server.url, name, { address })).source.close()
    cpSync(server.path('appendonlydir'), server.path('yesterday'), { recursive: true })
    await server.admin.flushall()
    const one = await Member.start(t, server.url, 'pi-1')
    const two = await Member.start(t, server.url, 'pi-2', { address: '192.168.1.2' })
    const other = await Member.start(t, server.url, 'pi-3', { address: '192.168.1.3' })
    await until('they know each other', () => [one, two, other].every(({ nodes }) => nodes.size === 3))
    const [before, counts] = [other.shown, [one, two, other].map(({ changes }) => changes.length)]
    await server.stop('SIGKILL')
    rmSync(server.path('appendonlydir'), { recursive: true })
    cpSync(server.path('yesterday'), server.path('appendonlydir'), { recursive: true })
    await server.start()
    for (const member of [one, two]) await until('it is told', () => SWAPPED.test(member.reasons))
    const told = async (name: string) => (await server.admin.hget('bramble:nodes', name)) ?? ''
    await until(
      'Redis has where the pods are',
      async () => /10\.42\.0\.0/.test(await told('pi-1')) && /10\.42\.1\.0/.test(await told('pi-2')),
    )
    const heard = other.changes.length
    other.source.announce({ encapsulations: ['vxlan'] })
    await until('the third hears on', () => other.changes.length > heard)
    for (const [index, { changes }] of [one, two, other].entries())
      for (const { view } of changes.slice(counts[index]))
        t.same(
          [...(view?.nodes.values() ?? [])]
            .map(({ name, podCidrs }) => `${name} ${podCidrs.map(({ text }) => text)}`)
            .sort(),
          before,
        )
  },
)

t.test(
  'Redis lost everything while no agent ran: the first that starts has its former view from its first word on, and puts it back',
  async (t) => {
    const { server, one, two } = await startCluster(t)
    const knownNodes = [...one.nodes.values()].filter(({ name }) => name !== 'pi-1')
    const formerCidrs = one.nodes.get('pi-1')?.podCidrs ?? []
    await one.source.close()
    await two.source.close()
    await server.admin.flushall()
    const again = await Member.start(t, server.url, 'pi-1', { knownNodes, formerCidrs })
    t.ok(again.changes.every(({ view }) => view === undefined || view.nodes.has('pi-2')))
    t.same(again.shown, ['pi-1 10.42.0.0/24', 'pi-2 10.42.1.0/24'])
    await until('pi-2 is back', async () => (await server.admin.hget('bramble:leases', 'pi-2')) === '4:1')
    t.same(again.shown, ['pi-1 10.42.0.0/24', 'pi-2 10.42.1.0/24'])
  },
)

t.test('a node that was removed while the agent was away does not come back with it', async (t) => {
  const { server, one, two } = await startCluster(t)
  const knownNodes = [...one.nodes.values()].filter(({ name }) => name !== 'pi-1')
  await two.source.close()
  await one.source.removeNode('pi-2', { isForced: true })
  await one.source.close()
  const again = await Member.start(t, server.url, 'pi-1', { knownNodes })
  t.same(again.shown, ['pi-1 10.42.0.0/24'])
})

t.test('while Redis is away one thing is said of it, not one for each connection', async (t) => {
  const { server, one } = await startCluster(t)
  await server.stop('SIGKILL')
  await until('it is told', () => /not reachable \(ECONNREFUSED\)/.test(one.reasons))
  t.same(one.problems, [{ object: server.url, reason: 'not reachable (ECONNREFUSED); the last view stays in force' }])
})
