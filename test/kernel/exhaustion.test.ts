import t, { type Test } from 'tap'
import { Agent, until } from './agent.ts'
import { addUplink, ipLines, linkNames, pings, runIn } from './node.ts'
import { call } from './plugin.ts'
import { Pod } from './pod.ts'
import { enterScratchNode, makeNetns } from './scratch.ts'

/** Where addresses end, and how they come back. */
const ALL_HELD = 'no address is free in 10.42.0.0/30: all 3 are held'

await enterScratchNode()
await addUplink()

t.test('hard case 12: the pool is exhausted, one is freed: clear error, STATUS 50, then at once usable', async (t) => {
  const agent = await start(t, ['10.42.0.0/30', 'fd42::/64'])
  const status = { ready: { exitCode: 0, json: undefined, stderr: '' } }
  const pods: Pod[] = []
  for (const name of ['a', 'b', 'c']) {
    t.strictSame(await call('STATUS'), status.ready)
    pods.push(await Pod.add({ args: `K8S_POD_NAMESPACE=shop;K8S_POD_NAME=${name}` }))
  }
  t.strictSame(pods.map(({ addresses }) => addresses[0]).sort(), ['10.42.0.1', '10.42.0.2', '10.42.0.3'])

  const netns = await makeNetns('fourth')
  const links = await linkNames()
  const { exitCode, json } = await call('ADD', { containerId: 'fourth', netns })
  t.equal(exitCode, 1)
  t.match(json, { code: 11, msg: ALL_HELD })
  for (const name of ['a', 'b', 'c']) t.match(json.details, new RegExp(`shop/${name} \\(10\\.42\\.0\\.[123], fd42::`))
  t.match(json.details, 'delete pods or give the node a larger pod CIDR; see: bramblectl ipam')
  t.strictSame(await linkNames(), links, 'nothing was made')
  t.strictSame(await linkNames(netns), ['lo'])
  t.match(await call('STATUS'), { exitCode: 1, json: { code: 50, msg: ALL_HELD } })
  t.match(await agent.ask('status'), { problems: [ALL_HELD] })

  const [first] = pods
  t.match(await first?.del(), { exitCode: 0 })
  t.strictSame(await call('STATUS'), status.ready, 'it heals with the DEL')
  const { json: result } = await call('ADD', { containerId: 'fourth', netns })
  t.equal(result.ips[0].address, `${first?.addresses[0]}/32`, 'the address that was freed')
  t.ok(await pings(undefined, first?.addresses[0] ?? ''))
  t.match(await call('STATUS'), { exitCode: 1, json: { code: 50 } })
})

for (const [full, roomy] of [
  ['10.42.0.0/31', 'fd42::/64'],
  ['fd42::/127', '10.42.0.0/24'],
] as const)
  t.test(`a pod has addresses of both families or of neither: ${full} is full, ${roomy} is not`, async (t) => {
    const agent = await start(t, [full, roomy])
    const pod = await Pod.add()
    t.equal(pod.addresses.length, 2)
    t.match(
      await call('ADD', { containerId: 'second', netns: await makeNetns(`second-of-${full.replace('/', '-')}`) }),
      {
        exitCode: 1,
        json: { code: 11, msg: `no address is free in ${full}: all 1 are held` },
      },
    )
    for (const { used } of await agent.ask('ipam')) t.equal(used, 1)
    t.match(await pod.del(), { exitCode: 0 })
  })

t.test('whose addresses are of another CIDR is not named among those who hold this one', async (t) => {
  const before = await Agent.start({ podCidrs: ['10.41.0.0/24'] })
  const elsewhere = await Pod.add({ name: 'elsewhere' })
  await before.stop()
  await start(t, ['10.42.0.0/31'])
  const here = await Pod.add({ name: 'here' })
  const { json } = await call('ADD', { containerId: 'late', netns: await makeNetns('late') })
  t.match(json, { code: 11, details: `held by ${here.containerId} (${here.addresses});` })
  t.notMatch(json.details, elsewhere.containerId)
  for (const pod of [elsewhere, here]) t.match(await pod.del(), { exitCode: 0 })
})

t.test('an ADD that fails frees its addresses at once', async (t) => {
  const agent = await start(t, ['10.42.0.0/31', 'fd42::/127'])
  const netns = await makeNetns('has-eth0')
  await runIn(netns, 'ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'peer0')
  for (let time = 0; time < 3; time++)
    t.match(await call('ADD', { containerId: `time-${time}`, netns }), { exitCode: 1, json: { code: 101 } })
  t.strictSame(await agent.ask('ipam check'), [])
  t.match(await (await Pod.add()).del(), { exitCode: 0 })
})

t.test('the first address of a CIDR and no other is kept back', async (t) => {
  const agent = await start(t, ['10.42.0.0/29'])
  const pods = await Promise.all(Array.from({ length: 7 }, () => Pod.add()))
  t.strictSame(
    pods.flatMap(({ addresses }) => addresses).sort(),
    Array.from({ length: 7 }, (_, index) => `10.42.0.${index + 1}`),
  )
  for (const { addresses } of pods) t.ok(await pings(undefined, addresses[0] ?? ''))
  t.match(await agent.ask('ipam'), [{ capacity: 7, used: 7, cooling: 0, free: 0 }])
  await Promise.all(pods.map((pod) => pod.del()))
  t.match(await agent.ask('ipam'), [{ capacity: 7, used: 0, cooling: 7, free: 0 }])
})

t.test('a freed address rests while others are free', async (t) => {
  await start(t, ['10.42.0.0/24'])
  const pod = await Pod.add()
  t.match(await pod.del(), { exitCode: 0 })
  for (let more = 0; more < 5; more++) t.notSame((await Pod.add()).addresses, pod.addresses)
})

t.test('hard case 10: an address is reused: no stale neighbour or route reaches the new owner', async (t) => {
  await start(t, ['10.42.0.0/31', 'fd42::/127'])
  const before = await Pod.add()
  for (const address of before.addresses) t.ok(await pings(undefined, address))
  const stale = await ipLines(undefined, 'neighbour')
  t.match(await before.del(), { exitCode: 0 })
  // The namespace of the old owner lives on, as that of a container which ends slowly, and its link a moment longer.
  const after = await Pod.add()
  t.strictSame(after.addresses, before.addresses)
  t.not(after.mac, before.mac)
  for (const address of after.addresses) {
    t.ok(await pings(undefined, address), 'the node reaches the new owner with its first packet')
    t.match((await ipLines(undefined, 'route', 'get', address))[0], ` dev ${after.hostLink} `)
    const neighbours = (await ipLines(undefined, 'neighbour', 'show', 'to', address)).filter((line) =>
      stale.includes(line),
    )
    t.strictSame(neighbours, [], 'no entry of the old owner is left')
  }
  await until('the old link is gone', async () => !(await linkNames()).includes(before.hostLink))
  t.match(await after.check(), { exitCode: 0 })
  for (const address of after.addresses) t.ok(await pings(undefined, address))
  t.notOk(await pings(before.netns, after.addresses[0] ?? ''), 'the old owner reaches nobody any more')
})

t.test('an interface comes back with the address it had, though its link was deleted by hand', async (t) => {
  const agent = await start(t, ['10.42.0.0/31', 'fd42::/127'])
  const net1 = await Pod.add({ ifname: 'net1' })
  await runIn(net1.netns, 'ip', 'link', 'delete', 'net1')
  await until('its addresses are free', async () => (await agent.ask('pods')).length === 0)
  const again = await Pod.add({ ifname: 'net1', netns: net1.netns })
  t.strictSame(again.addresses, net1.addresses)
  t.match(await again.check(), { exitCode: 0 })
})

t.end()

/** An agent for one test; all its pods are removed afterwards. */
async function start(t: Test, podCidrs: readonly string[]): Promise<Agent> {
  const agent = await Agent.start({ podCidrs })
  t.after(async () => {
    await call('GC', { config: { 'cni.dev/valid-attachments': [] } })
    await agent.stop()
  })
  return agent
}
