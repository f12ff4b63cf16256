import t from 'tap'
import { formatNodeObject, parseNodeObject } from '../../../../agent/cluster/node-object.ts'
import type { Encapsulation } from '../../../../agent/cluster/view.ts'
import { parseCidr } from '../../../../ipam/address.ts'
import { Member, until } from './member.ts'
import { RedisServer } from './server.ts'

t.jobs = 4 // they wait most of the time

const text = (name: string, third: number) =>
  JSON.stringify(formatNodeObject({ name, podCidrs: [parseCidr(`10.42.${third}.0/24`)], addresses: ['192.168.1.99'] }))
const announced = (member: Member, name: string) => member.nodes.get(name)?.announcement?.encapsulations.join()

t.test(
  'a change comes to the others with its name alone; nodes that did not change are the same objects',
  async (t) => {
    const { url } = await RedisServer.start(t)
    const [one, two] = [await Member.start(t, url, 'pi-1'), await Member.start(t, url, 'pi-2')]
    await new Member(t, url, 'pi-3').join()
    await until('the first knows all', () => one.nodes.size === 3)
    const before = one.nodes
    const count = one.changes.length
    two.source.announce({ encapsulations: ['vxlan'] })
    await until('it comes', () => announced(one, 'pi-2') === 'vxlan')
    t.same(
      one.changes.slice(count).map(({ changed }) => changed),
      [new Set(['pi-2'])],
    )
    for (const name of ['pi-1', 'pi-3']) t.equal(one.nodes.get(name), before.get(name), name)
    t.equal(before.get('pi-2')?.announcement, undefined)
  },
)

t.test('an address that changed comes to the others', async (t) => {
  const { url } = await RedisServer.start(t)
  const [one, two] = [await Member.start(t, url, 'pi-1'), await Member.start(t, url, 'pi-2')]
  two.addresses = ['192.168.1.77']
  two.source.addressesChanged()
  await until('it comes', () => one.nodes.get('pi-2')?.addresses[0] === '192.168.1.77')
  for (const address of ['192.168.1.78', '192.168.1.79']) {
    two.source.announce({ encapsulations: ['vxlan'] }, [address]) // the second time with nothing else that is new
    await until(`${address} comes`, () => one.nodes.get('pi-2')?.addresses[0] === address)
  }
  t.equal(one.reasons, '')
})

t.test('changes that were cut off the stream, or written by hand, are found by reading everything', async (t) => {
  const { url, admin } = await RedisServer.start(t)
  const one = await Member.start(t, url, 'pi-1')
  const before = one.nodes.get('pi-1')
  await admin
    .multi()
    .hset('bramble:nodes', 'pi-8', text('pi-8', 8), 'pi-9', text('pi-9', 9))
    .xadd('bramble:changes', '*', 'name', 'pi-8', 'after', '0-0', 'node', text('pi-8', 8))
    .xadd('bramble:changes', '*', 'name', 'pi-9', 'after', 'somewhere', 'node', text('pi-9', 9))
    .xtrim('bramble:changes', 'MAXLEN', 1)
    .exec()
  await until('both are there', () => one.nodes.has('pi-8') && one.nodes.has('pi-9'))
  await admin.multi().hset('bramble:nodes', 'pi-7', text('pi-7', 7)).xadd('bramble:changes', '*', 'any', 'thing').exec()
  await until('the third is there', () => one.nodes.has('pi-7'))
  t.equal(one.nodes.get('pi-1'), before)
  t.equal(one.reasons, '')
})

t.test('a stream that is gone is noticed', async (t) => {
  const { url, admin } = await RedisServer.start(t)
  const one = await Member.start(t, url, 'pi-1')
  await admin.multi().del('bramble:changes').hset('bramble:nodes', 'pi-9', text('pi-9', 9)).exec()
  await until('it is read anew', () => one.nodes.has('pi-9'))
  await Member.start(t, url, 'pi-2', { address: '192.168.1.2' })
  await until('and goes on', () => one.nodes.has('pi-2'))
  t.equal(one.reasons, '')
})

t.test('noise under our keys: the last good stays and is told; who lives puts its own right', async (t) => {
  const { url, admin } = await RedisServer.start(t)
  const dead = new Member(t, url, 'pi-9', { address: '192.168.1.9' })
  await dead.join()
  const [one, two] = [await Member.start(t, url, 'pi-1'), await Member.start(t, url, 'pi-2')]
  const before = one.nodes
  await admin.hset('bramble:leases', 'pi-1', 'noise')
  await admin.hset('bramble:seen', 'pi-1', '\u0000\u00ff', 'pi-9', 'noise')
  await admin
    .multi()
    .hset('bramble:nodes', 'pi-2', '[]', 'pi-9', 'noise')
    .xadd('bramble:changes', '*', 'any', 'thing')
    .exec()
  await until('it is told', () => /^Node pi-9: .*"noise".*what it was before stays in force/.test(one.reasons))
  await until('pi-2 has put itself right', async () => (await admin.hget('bramble:nodes', 'pi-2')) !== '[]')
  two.source.announce({ encapsulations: ['vxlan'] })
  await until('and is heard', () => announced(one, 'pi-2') === 'vxlan')
  one.source.announce({ encapsulations: ['ipip'] })
  await until('so is pi-1, with its lease', () => announced(two, 'pi-1') === 'ipip')
  t.equal(await admin.hget('bramble:leases', 'pi-1'), '4:1')
  t.equal(one.nodes.get('pi-9'), before.get('pi-9'))
  t.equal((await one.source.listNodes()).length, 3)
  t.same(await one.source.removeNode('pi-9', { isForced: false }), ['10.42.0.0/24'])
  await until('what is removed is no problem', () => one.reasons === '' && !one.nodes.has('pi-9'))
})

t.test('what cannot be read is told also where nothing else has changed, and when it is well again', async (t) => {
  const { url, admin } = await RedisServer.start(t)
  await new Member(t, url, 'pi-9', { address: '192.168.1.9' }).join()
  const good = (await admin.hget('bramble:nodes', 'pi-9')) ?? ''
  const one = await Member.start(t, url, 'pi-1')
  const before = one.nodes.get('pi-9')
  const write = (node: string) =>
    admin.multi().hset('bramble:nodes', 'pi-9', node).xadd('bramble:changes', '*', 'any', 'thing').exec()
  await write(good.replace('10.42.0.0/24', '0.0.0.0/0'))
  await until('it is told', () => /^Node pi-9: .*0\.0\.0\.0\/0.*what it was before stays in force/.test(one.reasons))
  t.equal(one.nodes.get('pi-9'), before)
  await write(good)
  await until('all is well', () => one.reasons === '')
  t.equal(one.nodes.get('pi-9'), before)
})

t.test('a key of ours that is something else is told, and all goes on when it is away', async (t) => {
  const { url, admin } = await RedisServer.start(t)
  const [one, two] = [await Member.start(t, url, 'pi-1'), await Member.start(t, url, 'pi-2')]
  const before = one.nodes
  await admin.set('bramble:nodes', 'noise')
  two.source.announce({ encapsulations: ['vxlan'] })
  await until('both tell', () => [one, two].every(({ reasons }) => /\(WRONGTYPE\)/.test(reasons)))
  t.equal(one.nodes, before)
  await admin.del('bramble:nodes')
  await until('all is well', () => announced(one, 'pi-2') === 'vxlan' && one.reasons === '' && two.reasons === '')
  t.equal(one.nodes.get('pi-1'), before.get('pi-1'))
})

t.test('a node is removed when it is silent, or by force; one that lives comes back with what it had', async (t) => {
  const { url, admin } = await RedisServer.start(t)
  const [one, two] = [await Member.start(t, url, 'pi-1'), await Member.start(t, url, 'pi-2')]
  const remove = (name: string, isForced: boolean) => one.source.removeNode(name, { isForced })
  await t.rejects(remove('pi-7', true), { code: 'NODE_REMOVAL', message: /no Node pi-7 .*bramblectl node list/ })
  await t.rejects(remove('pi-2', false), { code: 'NODE_REMOVAL', message: /pi-2 was there \d s ago; .*120 s.*--force/ })
  const count = one.changes.length
  t.same(await remove('pi-2', true), ['10.42.1.0/24'])
  await until(
    'it went and came',
    () => one.changes.slice(count).filter(({ changed }) => changed?.has('pi-2')).length > 1,
  )
  t.same(one.shown, ['pi-1 10.42.0.0/24', 'pi-2 10.42.1.0/24'])
  await two.source.close()
  const [at, ...rest] = (await admin.hget('bramble:seen', 'pi-2'))?.split(' ') ?? []
  await admin.hset('bramble:seen', 'pi-2', [Number(at) - 121, ...rest].join(' '))
  t.same(await remove('pi-2', false), ['10.42.1.0/24'])
  await until('it is gone', () => !one.nodes.has('pi-2'))
})

t.test('whatever is done in any order, in the end every view is what Redis has', async (t) => {
  const { url, admin } = await RedisServer.start(t)
  let state = Date.now() % 2 ** 31
  t.comment(`seed ${state}`)
  const below = (count: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return Math.floor((state / 2 ** 31) * count)
  }
  const living = await Promise.all(['a', 'b', 'c'].map((name) => Member.start(t, url, name)))
  const any = () => living[below(living.length)] as Member
  const all: Encapsulation[] = ['vxlan', 'ipip', 'wireguard']
  const edits = [
    () => any().source.announce({ encapsulations: all.filter(() => below(2) === 1) }),
    () => any().source.announce({ encapsulations: all.filter(() => below(2) === 1) }),
    () => new Member(t, url, `dead-${below(4)}`).join(),
    () => any().source.removeNode(`dead-${below(4)}`, { isForced: true }),
    () => any().source.removeNode(any().name, { isForced: true }),
    () => admin.xtrim('bramble:changes', 'MAXLEN', below(3)),
    () => admin.script('FLUSH'),
    () => admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'),
    () => admin.xadd('bramble:changes', '*', 'any', 'thing'),
  ]
  for (let step = 0; step < 60; step++)
    await Promise.resolve(edits[below(edits.length)]?.()).catch((error: { code?: string }) => {
      if (!['REDIS', 'NODE_REMOVAL'].includes(error.code ?? '')) throw error
    })
  const inRedis = async () =>
    Object.values(await admin.hgetall('bramble:nodes')).map((node) => parseNodeObject(JSON.parse(node)))
  const format = (nodes: Iterable<Parameters<typeof formatNodeObject>[0]>) =>
    [...nodes].map((node) => JSON.stringify(formatNodeObject(node))).sort()
  for (const member of living)
    await until(`${member.name} has what Redis has`, async () => {
      const nodes = await inRedis()
      const isThere = living.every(({ name }) => nodes.some((node) => node.name === name))
      return isThere && format(nodes).join() === format(member.nodes.values()).join() && member.reasons === ''
    })
  const cidrs = (await inRedis()).flatMap(({ podCidrs }) => podCidrs.map(({ text }) => text))
  t.equal(new Set(cidrs).size, cidrs.length)
})
