import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t from 'tap'
import { encodeRequest } from '../../plugin/frame.ts'
import { Agent, until } from './agent.ts'
import { addUplink, linkNames, NODE, pings } from './node.ts'
import { call } from './plugin.ts'
import { Pod } from './pod.ts'
import { enterScratchNode, makeNetns } from './scratch.ts'

/** hard-cases.md 13: calls at the same time, for one container and for many. */
const MANY = 200

await enterScratchNode()
await addUplink()
const agent = await Agent.start({ podCidrs: ['10.42.0.0/22', 'fd42::/64'] })
t.after(() => agent.stop())

t.test('hard case 13: ADD twice at the same time, for one container: one makes it, the other is told', async (t) => {
  for (let round = 0; round < 10; round++) {
    const containerId = `twice-${round}`
    const netns = await makeNetns(containerId)
    const replies = await Promise.all([call('ADD', { containerId, netns }), call('ADD', { containerId, netns })])
    const [made, told] = replies.sort((a, b) => a.exitCode - b.exitCode)
    t.match(made, { exitCode: 0, json: { ips: [{}, {}] } })
    t.match(told, { exitCode: 1, json: { code: 101, msg: `eth0 of container ${containerId} exists already` } })
    t.match(await call('CHECK', { containerId, netns, config: { prevResult: made?.json } }), { exitCode: 0 })
  }
  t.strictSame(await agent.ask('ipam check'), [])
})

t.test('hard case 13: ADD with DEL at the same time, for one container: all of it is there, or nothing', async (t) => {
  for (let round = 0; round < 15; round++) {
    const containerId = `both-${round}`
    const netns = await makeNetns(containerId)
    const calls = [() => call('ADD', { containerId, netns }), () => call('DEL', { containerId, netns })]
    if (round % 2 === 1) calls.reverse()
    const [one, other] = await Promise.all(calls.map((start) => start()))
    t.strictSame([one?.exitCode, other?.exitCode], [0, 0])
    const added = one?.json ?? other?.json
    const rows = (await agent.ask('pods')).filter((row) => row.containerId === containerId)
    const check = await call('CHECK', { containerId, netns, config: { prevResult: added } })
    t.match(check, rows.length > 0 ? { exitCode: 0 } : { exitCode: 1, json: { code: 3 } })
    if (rows.length === 0) await until('its link is gone', async () => !(await linkNames(netns)).includes('eth0'))
  }
  t.strictSame(await agent.ask('ipam check'), [])
})

t.test('hard case 13: DEL twice at the same time, for one container: both succeed', async (t) => {
  for (let round = 0; round < 10; round++) {
    const pod = await Pod.add()
    for (const reply of await Promise.all([pod.del(), pod.del()]))
      t.strictSame(reply, { exitCode: 0, json: undefined, stderr: '' })
  }
  t.strictSame(await agent.ask('ipam check'), [])
})

t.test('hard case 13: all interfaces of one container at the same time', async (t) => {
  const containerId = 'interfaces'
  const netns = await makeNetns(containerId)
  const ifnames = ['eth0', 'net1', 'net2', 'net3']
  const replies = await Promise.all(ifnames.map((ifname) => call('ADD', { containerId, netns, ifname })))
  t.strictSame(
    replies.map(({ exitCode }) => exitCode),
    [0, 0, 0, 0],
  )
  for (const { json } of replies)
    for (const { address } of json.ips) t.ok(await pings(undefined, address.replace(/\/.*/, '')))
})

t.test(`hard case 13: ${MANY} ADDs at once, then ${MANY} DELs: each gets what it asked for`, async (t) => {
  const before = await agent.ask('ipam')
  const names = Array.from({ length: MANY }, (_, index) => `many-${index}`)
  const pods = await Promise.all(
    names.map(async (containerId) => ({ containerId, netns: await makeNetns(containerId) })),
  )
  const added = await Promise.all(pods.map((pod) => call('ADD', pod)))
  t.strictSame(
    added.filter(({ exitCode }) => exitCode !== 0),
    [],
  )
  const addresses = added.flatMap(({ json }) => json.ips.map(({ address }: { address: string }) => address))
  t.equal(new Set(addresses).size, 2 * MANY, 'no address is given twice')
  t.strictSame(await agent.ask('ipam check'), [])
  for (const index of [0, 1, MANY / 2, MANY - 1]) {
    t.match(await call('CHECK', { ...pods[index], config: { prevResult: added[index]?.json } }), { exitCode: 0 })
    t.ok(await pings(undefined, addresses[2 * index].replace(/\/.*/, '')))
  }

  const deleted = await Promise.all(pods.map((pod) => call('DEL', pod)))
  t.strictSame(
    deleted.filter(({ exitCode }) => exitCode !== 0),
    [],
  )
  t.strictSame(
    (await agent.ask('ipam')).map(({ used }) => used),
    before.map(({ used }) => used),
  )
  const links = new Set(added.map(({ json }) => json.interfaces[0].name))
  await until('all links are gone', async () => !(await linkNames()).some((name) => links.has(name)))
  t.strictSame(await agent.ask('ipam check'), [])
})

t.test('the very first packet of each pod passes, though many are added at once', async (t) => {
  const lost = await Promise.all(
    Array.from({ length: 40 }, async () => {
      const pod = await Pod.add()
      const passes = await pings(pod.netns, NODE[4])
      await pod.del()
      return passes ? [] : [pod.containerId]
    }),
  )
  t.strictSame(lost.flat(), [])
})

t.test('hard case 13: ADDs and DELs of many containers mixed', async (t) => {
  const old = await Promise.all(Array.from({ length: 40 }, () => Pod.add()))
  const [replies, young] = await Promise.all([
    Promise.all(old.map((pod) => pod.del())),
    Promise.all(old.map(() => Pod.add())),
  ])
  t.ok(replies.every(({ exitCode }) => exitCode === 0))
  for (const pod of young.slice(0, 5)) t.match(await pod.check(), { exitCode: 0 })
  t.strictSame(await agent.ask('ipam check'), [])
})

t.test('hard case 13: a hung request holds nobody up, and is let go after a while', async (t) => {
  const whole = encodeRequest({ kind: 'cni', env: { CNI_COMMAND: 'DEL' }, body: Buffer.from('{}') })
  const beginnings = { 'no byte': 0, 'half a header': 7, 'a header': 16, 'all but one byte': whole.length - 1 }
  const hung: Socket[] = []
  for (const bytes of Object.values(beginnings))
    for (let copy = 0; copy < 5; copy++) {
      const socket = connect(agent.socket)
      await once(socket, 'connect')
      if (bytes > 0) socket.write(whole.subarray(0, bytes))
      hung.push(socket.resume())
    }
  const closed = Promise.all(hung.map((socket) => once(socket, 'close')))

  const pod = await Pod.add()
  t.match(await pod.check(), { exitCode: 0 })
  t.match(await call('STATUS'), { exitCode: 0 })
  t.match(await pod.del(), { exitCode: 0 })
  t.ok(
    hung.every((socket) => !socket.closed),
    'they hung all the while',
  )
  await closed
  t.match(await call('STATUS'), { exitCode: 0 })
})

t.test('what is no request is dropped, and nothing else happens', async (t) => {
  const claims = (envBytes: number, bodyBytes: number) => {
    const header = Buffer.from('BRM1\0\0\0\x01\0\0\0\0\0\0\0\0')
    header.writeUInt32BE(envBytes, 8)
    header.writeUInt32BE(bodyBytes, 12)
    return header
  }
  const lies = [
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    Buffer.alloc(200_000, 0xff),
    claims(0xffffffff, 0),
    claims(0, 0x7fffffff),
  ]
  for (const lie of lies) {
    const socket = connect(agent.socket, () => socket.write(lie)).resume()
    socket.on('error', () => {}) // it is reset when the agent has not read all
    await new Promise((resolve) => socket.once('close', resolve))
  }
  t.match(await call('STATUS'), { exitCode: 0 })
})

t.end()
