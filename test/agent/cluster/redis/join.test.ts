import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { parseCidr } from '../../../../ipam/address.ts'
import { Member, until } from './member.ts'
import { RedisServer } from './server.ts'

t.jobs = 4 // they wait most of the time

const JOINER = fileURLToPath(new URL('./joiner.ts', import.meta.url))
const names = (count: number, prefix = 'pi') => Array.from({ length: count }, (_, index) => `${prefix}-${index}`)
const cidrs = (count: number) => Array.from({ length: count }, (_, index) => `10.42.${index}.0/24`)

t.test('nodes get the lowest pod CIDRs, and keep them over restarts and new images', async (t) => {
  const { url } = await RedisServer.start(t)
  for (const [index, name] of names(3).entries()) t.same(await new Member(t, url, name).join(), [`10.42.${index}.0/24`])
  t.same(await new Member(t, url, 'pi-1', { instance: 'after-a-reboot' }).join(), ['10.42.1.0/24'])
})

t.test('fifty nodes that join at the same time get fifty pod CIDRs, the lowest', async (t) => {
  const { url, admin } = await RedisServer.start(t)
  const members = names(50).map((name, index) => new Member(t, url, name, { address: `192.168.1.${index + 1}` }))
  const got = await Promise.all(members.map((member) => member.join()))
  t.same(new Set(got.flat()), new Set(cidrs(50)))
  t.equal(await admin.hlen('bramble:cidrs'), 50)
})

t.test('processes that race for pod CIDRs get different ones, the lowest', async (t) => {
  const { url } = await RedisServer.start(t)
  const run = async (prefix: string) => {
    const { stdout } = await promisify(execFile)(process.execPath, [JOINER, url, ...names(8, prefix)])
    return stdout.trim().split('\n')
  }
  const got = await Promise.all(['a', 'b', 'c', 'd'].map(run))
  t.same(new Set(got.flat()), new Set(cidrs(32)))
})

t.test('both families are given in one step, and both spellings of a cluster are the same', async (t) => {
  const { url } = await RedisServer.start(t)
  const dual = (...texts: string[]) => ({ clusterCidrs: texts.map(parseCidr) })
  t.same(await new Member(t, url, 'pi-0', dual('10.42.0.0/16', 'fd42::/48')).join(), ['10.42.0.0/24', 'fd42::/64'])
  t.same(await new Member(t, url, 'pi-1', dual('fd42::/48', '10.42.0.0/16')).join(), [
    '10.42.1.0/24',
    'fd42:0:0:1::/64',
  ])
})

t.test('a cluster with more pod CIDRs than a double counts gives them exactly', async (t) => {
  const { url } = await RedisServer.start(t)
  const huge = { clusterCidrs: [parseCidr('fd00::/8')], nodeMasks: { 4: 24, 6: 120 } }
  t.same(await new Member(t, url, 'pi-0', huge).join(), ['fd00::/120'])
  const far = parseCidr('fd00:1000::4200/120')
  t.same(await new Member(t, url, 'pi-1', { ...huge, formerCidrs: [far] }).join(), [far.text])
  t.same(await new Member(t, url, 'pi-2', huge).join(), ['fd00::100/120'])
})

t.test('a node whose pod CIDR Redis has forgotten gets the same again, if nobody else has it', async (t) => {
  const { url } = await RedisServer.start(t)
  const former = { formerCidrs: [parseCidr('10.42.7.0/24')] }
  t.same(await new Member(t, url, 'pi-7', former).join(), ['10.42.7.0/24'])
  t.same(await new Member(t, url, 'pi-8', former).join(), ['10.42.0.0/24'])
})

t.test('a pod CIDR that came back is given last, and who waited longest first', async (t) => {
  const { url } = await RedisServer.start(t)
  const tiny = { clusterCidrs: [parseCidr('10.42.0.0/22')] }
  const [first] = await Promise.all(names(1).map((name) => Member.start(t, url, name, tiny)))
  for (const name of ['pi-1', 'pi-2']) await new Member(t, url, name, tiny).join()
  t.same(await first?.source.removeNode('pi-2', { isForced: true }), ['10.42.2.0/24'])
  t.same(await first?.source.removeNode('pi-1', { isForced: true }), ['10.42.1.0/24'])
  const next = async (name: string) => (await new Member(t, url, name, tiny).join())[0]
  t.equal(await next('pi-3'), '10.42.3.0/24')
  t.equal(await next('pi-4'), '10.42.2.0/24')
  t.equal(await next('pi-5'), '10.42.1.0/24')
  await t.rejects(new Member(t, url, 'pi-6', tiny).join(), {
    code: 'JOIN',
    message:
      'all 4 pod CIDRs of 10.42.0.0/22 in /24 are held, by 4 nodes; remove those that are gone for good: bramblectl node list, bramblectl node remove NAME',
  })
  await first?.source.removeNode('pi-3', { isForced: true })
  t.equal(await next('pi-6'), '10.42.3.0/24')
})

t.test('a node without room in one family takes none of the other', async (t) => {
  const { url, admin } = await RedisServer.start(t)
  const narrow = { clusterCidrs: ['10.42.0.0/16', 'fd42::/63'].map(parseCidr) }
  for (const name of names(2)) await new Member(t, url, name, narrow).join()
  await t.rejects(new Member(t, url, 'pi-2', narrow).join(), { code: 'JOIN', message: /all 2 pod CIDRs of fd42::\/63/ })
  t.same(await admin.hgetall('bramble:cidrs'), { '4:0': 'pi-0', '6:0': 'pi-0', '4:1': 'pi-1', '6:1': 'pi-1' })
})

t.test('the pod CIDRs of a cluster are written once: a node that was started with others is refused', async (t) => {
  const { url } = await RedisServer.start(t)
  await new Member(t, url, 'pi-0').join()
  for (const settings of [
    { clusterCidrs: [parseCidr('10.43.0.0/16')] },
    { nodeMasks: { 4: 25, 6: 64 } },
    { clusterCidrs: ['10.42.0.0/16', 'fd42::/48'].map(parseCidr) },
  ])
    await t.rejects(new Member(t, url, 'pi-1', settings).join(), {
      code: 'JOIN',
      message:
        /^the cluster in Redis has the pod CIDRs 10\.42\.0\.0\/16 in \/24, and this node was started with .*docs\/redis\.md/,
    })
})

t.test('a node that joins a Redis which is there says nothing of it, while it connects, either', async (t) => {
  const { url } = await RedisServer.start(t)
  const member = new Member(t, url, 'pi-1')
  const told: string[] = []
  await member.source.join((problems) => told.push(...problems.map(({ reason }) => reason)))
  t.same(told, [])
})

t.test('a second node of the same name is refused while the first one is alive, naming both addresses', async (t) => {
  const { url } = await RedisServer.start(t)
  const first = await Member.start(t, url, 'pi-1', { address: '192.168.1.1' })
  const second = new Member(t, url, 'pi-1', { address: '192.168.1.2' })
  const refused = t.rejects(second.join(), {
    code: 'JOIN',
    message:
      /there is another Node pi-1, at 192\.168\.1\.1, whose agent is alive, and this one is at 192\.168\.1\.2; .*--node-name/,
  })
  await until('the second waits', () => /another Node pi-1, at 192\.168\.1\.1, was there/.test(second.reasons))
  const said = second.reasons
  await new Promise((resolve) => setTimeout(resolve, 1_100)) // Redis notes seconds
  t.equal(second.reasons, said, 'in the same words, so that nobody is told each second')
  first.source.announce({ encapsulations: [] })
  await refused
  t.equal(first.reasons, '')
})

t.test('a node that comes back under its name from another address waits for the silence of the former', async (t) => {
  const { url, admin } = await RedisServer.start(t)
  await new Member(t, url, 'pi-1').join()
  const silent = await admin.hget('bramble:seen', 'pi-1')
  const second = new Member(t, url, 'pi-1', { address: '192.168.1.2' })
  const joined = second.join()
  await until('it waits', () => second.reasons.endsWith('waiting for 150 s of its silence'))
  const [at, ...rest] = silent?.split(' ') ?? []
  await admin.hset('bramble:seen', 'pi-1', [Number(at) - 151, ...rest].join(' '))
  t.same(await joined, ['10.42.0.0/24'])
})

t.test('a node that left in good order, or kept its address, is not waited for', async (t) => {
  const { url } = await RedisServer.start(t)
  const first = new Member(t, url, 'pi-1')
  await first.join()
  t.same(await new Member(t, url, 'pi-1', { instance: 'new-image' }).join(), ['10.42.0.0/24'])
  const third = new Member(t, url, 'pi-1', { instance: 'third' })
  await third.join()
  await third.source.close()
  t.same(await new Member(t, url, 'pi-1', { address: '192.168.1.2' }).join(), ['10.42.0.0/24'])
})

t.test('the clock of Redis jumps back by years: who is silent is told by our own clock', async (t) => {
  const { url, admin } = await RedisServer.start(t)
  await new Member(t, url, 'pi-1').join()
  await admin.hset('bramble:seen', 'pi-1', '9999999999 some-boot 192.168.1.1')
  const second = new Member(t, url, 'pi-1', { address: '192.168.1.2', silentMs: 1_000 })
  t.same(await second.join(), ['10.42.0.0/24'])
})

t.test('a node whose name another one has taken over writes nothing, and says so', async (t) => {
  const { url, admin } = await RedisServer.start(t)
  const first = await Member.start(t, url, 'pi-1')
  const [at = ''] = (await admin.hget('bramble:seen', 'pi-1'))?.split(' ') ?? []
  await admin.hset('bramble:seen', 'pi-1', `${at} another-boot 192.168.1.2`)
  first.source.announce({ encapsulations: ['vxlan'] })
  await until('the first says so', () =>
    /another Node pi-1, at 192\.168\.1\.2, was there .* this one is at 192\.168\.1\.1/.test(first.reasons),
  )
  t.notMatch(await admin.hget('bramble:nodes', 'pi-1'), /vxlan/)
})
