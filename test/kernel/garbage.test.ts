import t from 'tap'
import { Agent } from './agent.ts'
import { addUplink } from './node.ts'
import { call } from './plugin.ts'
import { Pod } from './pod.ts'
import { enterScratchNode } from './scratch.ts'

/** GC and VERSION. STATUS is where addresses end: exhaustion.test.ts. */
const DONE = { exitCode: 0, json: undefined, stderr: '' }
const VALID = 'cni.dev/valid-attachments'

await enterScratchNode()
await addUplink()
const agent = await Agent.start()
t.after(() => agent.stop())

t.test('GC without a list changes nothing', async (t) => {
  const pod = await Pod.add()
  t.strictSame(await call('GC'), DONE)
  t.match(await pod.check(), { exitCode: 0 })
})

t.test('GC keeps what is on the list, by container and interface, and removes the rest of the network', async (t) => {
  const [kept, stale] = await Promise.all([Pod.add(), Pod.add()])
  const [keptNet1, staleNet1] = await Promise.all([kept.addInterface('net1'), stale.addInterface('net1')])
  const valid = [kept, keptNet1, stale].map(({ containerId, ifname }) => ({ containerID: containerId, ifname }))
  t.strictSame(await call('GC', { config: { [VALID]: valid } }), DONE)
  for (const pod of [kept, keptNet1, stale]) t.match(await pod.check(), { exitCode: 0 })
  t.match(await staleNet1.check(), { exitCode: 1, json: { code: 3 } })
  t.equal((await agent.ask('pods')).length, 3)
  t.strictSame(await agent.ask('ipam check'), [])
})

for (const [what, list] of Object.entries({ null: null, '[]': [] }))
  t.test(`GC with ${what} removes all of this network, and nothing of another`, async (t) => {
    const longName = 'n'.repeat(60)
    const [ours, others, long] = await Promise.all([
      Pod.add(),
      Pod.add({ config: { name: 'other' } }),
      Pod.add({ config: { name: longName } }),
    ])
    t.strictSame(await call('GC', { config: { [VALID]: list } }), DONE)
    t.match(await ours.check(), { json: { code: 3 } })
    for (const pod of [others, long]) t.match(await pod.check(), { exitCode: 0 })
    t.strictSame(await agent.ask('ipam check'), [])

    for (const [name, remains] of Object.entries({ other: 1, [longName]: 0 })) {
      t.strictSame(await call('GC', { config: { name, [VALID]: list } }), DONE)
      t.equal((await agent.ask('pods')).length, remains, `after GC of ${name.slice(0, 5)}`)
    }
    t.strictSame(await call('GC', { config: { [VALID]: list } }), DONE, 'of nothing')
  })

t.test('GC with a list that is none is refused, and removes nothing', async (t) => {
  const pod = await Pod.add()
  for (const list of ['all', {}, [{ containerID: pod.containerId }], [null], 0])
    t.match(await call('GC', { config: { [VALID]: list } }), { exitCode: 1, json: { code: 7, msg: new RegExp(VALID) } })
  t.match(await pod.check(), { exitCode: 0 })
})

t.test('GC leaves a pod whose link is gone already to itself', async (t) => {
  const pod = await Pod.add()
  await pod.vanish()
  t.strictSame(await call('GC', { config: { [VALID]: [] } }), DONE)
  t.strictSame(await agent.ask('pods'), [])
})

for (const cniVersion of ['0.3.1', '0.4.0', '1.0.0'])
  t.test(`GC and STATUS do not exist in CNI ${cniVersion}`, async (t) => {
    const pod = await Pod.add({ config: { cniVersion } })
    t.match(await call('GC', { config: { cniVersion, [VALID]: [] } }), { exitCode: 1, json: { code: 1, cniVersion } })
    t.match(await call('STATUS', { config: { cniVersion } }), { exitCode: 1, json: { code: 1, cniVersion } })
    t.match(await pod.del(), { exitCode: 0 })
  })

t.test('VERSION names all versions, with an agent and without', async (t) => {
  const versions = {
    exitCode: 0,
    json: { cniVersion: '1.1.0', supportedVersions: ['0.3.1', '0.4.0', '1.0.0', '1.1.0'] },
    stderr: '',
  }
  t.strictSame(await call('VERSION'), versions)
  t.strictSame(await call('VERSION', { env: { BRAMBLE_SOCKET: '/run/nobody.sock' } }), versions)
})

t.end()
