import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { CNI_VERSIONS } from '../../plugin/network-config.ts'
import { Agent, until } from './agent.ts'
import { addUplink, ip, ipLines, linkNames, pings } from './node.ts'
import { call } from './plugin.ts'
import { Pod } from './pod.ts'
import { enterScratchNode, makeNetns, run } from './scratch.ts'

/** DEL: what is gone when it returns, what follows, and that nothing keeps it from ending well. */
const DONE = { exitCode: 0, json: undefined, stderr: '' }

await enterScratchNode()
await addUplink()
let agent = await Agent.start()
t.after(() => agent.stop())

for (const cniVersion of CNI_VERSIONS)
  t.test(
    `DEL of CNI ${cniVersion} takes routes, neighbours and addresses at once, and the links a moment later`,
    async (t) => {
      const before = await nodeState()
      const pod = await Pod.add({ config: { cniVersion } })
      t.strictNotSame(await nodeState(), before)

      t.strictSame(await pod.del(), DONE)
      t.strictSame(await nodeState(), before)
      t.strictSame(await holders(pod.containerId), [])
      await until('the links are gone', async () => !(await linkNames()).includes(pod.hostLink))
      t.strictSame(await linkNames(pod.netns), ['lo'])

      t.strictSame(await pod.del(), DONE, 'a second time')
    },
  )

t.test('DEL succeeds for a container that was never added', async (t) => {
  const netns = await makeNetns('never-added')
  t.strictSame(await call('DEL', { containerId: 'never-added', netns }), DONE)
})

t.test('DEL needs neither prevResult nor the configuration that ADD had', async (t) => {
  const pod = await Pod.add()
  const { containerId, netns } = pod
  t.strictSame(
    await call('DEL', { containerId, netns, config: { name: 'renamed', mtu: 'x', ipam: { type: 'y' } } }),
    DONE,
  )
  t.strictSame(await holders(containerId), [])
})

t.test('DEL without K8S_POD_NAME and with another pod name in CNI_ARGS goes by the container id', async (t) => {
  const pod = await Pod.add({ args: 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web' })
  t.strictSame(
    await call('DEL', { containerId: pod.containerId, args: 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=db' }),
    DONE,
  )
  t.strictSame(await holders(pod.containerId), [])
})

t.test('a container may be added again at once, in the same namespace or another', async (t) => {
  const pod = await Pod.add()
  const { containerId, netns } = pod
  t.strictSame(await pod.del(), DONE)
  t.match(await call('ADD', { containerId, netns }), { exitCode: 0 })
  t.strictSame(await pod.del(), DONE)
  t.match(await call('ADD', { containerId, netns: await makeNetns('another') }), { exitCode: 0 })
  t.strictSame(await pod.del(), DONE)
  t.match(await call('ADD', { containerId: 'other-container', netns }), { exitCode: 0 })
})

t.test('hard case 2: ADD(A), ADD(B), then a late DEL(A), same pod name: B keeps its network', async (t) => {
  const args = 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0'
  const a = await Pod.add({ args, name: 'old' })
  const b = await Pod.add({ args, name: 'new' })
  t.strictNotSame(a.addresses, b.addresses)
  t.strictSame(await a.del(), DONE)
  await until('the links of A are gone', async () => !(await linkNames()).includes(a.hostLink))
  t.match(await b.check(), { exitCode: 0 })
  for (const address of b.addresses) t.ok(await pings(undefined, address))
  t.strictSame(await a.del(), DONE, 'even later')
  t.match(await b.check(), { exitCode: 0 })
  t.match(await holders(b.containerId), [{ pod: 'shop/web-0', addresses: b.addresses }])
})

t.test('hard case 6: DEL', async (t) => {
  t.test('when the namespace is gone', async (t) => {
    const pod = await Pod.add()
    await pod.vanish()
    t.strictSame(await pod.del(), DONE)
    t.strictSame(await holders(pod.containerId), [])
  })

  t.test('when the path of the namespace is empty', async (t) => {
    const pod = await Pod.add()
    t.strictSame(await pod.del({ netns: '' }), DONE)
    t.strictSame(await holders(pod.containerId), [])
    await until('the links are gone', async () => !(await linkNames()).includes(pod.hostLink))
  })

  t.test('when the path leads to the namespace of another pod by now', async (t) => {
    const before = await Pod.add()
    await before.vanish()
    const after = await Pod.add({ netns: await makeNetns(before.containerId), name: 'heir' })
    t.equal(after.netns, before.netns)
    t.strictSame(await before.del(), DONE)
    await new Promise((resolve) => setTimeout(resolve, 200)) // a condemned link would be gone by then
    t.match(await after.check(), { exitCode: 0 })
    for (const address of after.addresses) t.ok(await pings(undefined, address))
  })

  t.test('when the path leads to no namespace, or to the node itself', async (t) => {
    writeFileSync('/run/plain-file', '')
    for (const netns of ['/run/plain-file', '/run', '/nowhere/at/all', '/proc/self/ns/mnt', '/proc/self/ns/net']) {
      const pod = await Pod.add({ ifname: 'net1' }) // has rules in its namespace, which DEL would look for
      t.strictSame(await pod.del({ netns }), DONE, netns)
      t.strictSame(await holders(pod.containerId), [])
    }
    t.match(await ipLines(undefined, 'rule'), [/local$/, /main$/, /default$/], 'the rules of the node are as they were')
  })

  t.test('twice, and twice for what was never added', async (t) => {
    const pod = await Pod.add()
    for (let time = 0; time < 2; time++) t.strictSame(await pod.del(), DONE)
    for (let time = 0; time < 2; time++) t.strictSame(await call('DEL', { containerId: 'nobody' }), DONE)
  })

  t.test('when somebody has deleted the link already', async (t) => {
    const pod = await Pod.add()
    await run('ip', 'link', 'delete', pod.hostLink)
    t.strictSame(await pod.del(), DONE)
    t.strictSame(await holders(pod.containerId), [])
  })

  t.test('when the agent is away: it ends well, and the next agent carries it out', async (t) => {
    const pods = await Promise.all([Pod.add(), Pod.add(), Pod.add()])
    const [kept, ...deleted] = pods
    await agent.stop()
    for (const { exitCode, json, stderr } of await Promise.all(deleted.map((pod) => pod.del()))) {
      t.equal(exitCode, 0)
      t.equal(json, undefined)
      t.match(stderr, /no answer from the agent on .*; \/run\/bramble\/pending\/\S+ tells the next one/)
    }
    t.strictSame(readdirSync('/run/bramble/pending').sort(), deleted.map((pod) => `${pod.containerId}:eth0`).sort())
    agent = await Agent.start()
    t.strictSame(readdirSync('/run/bramble/pending'), [])
    for (const pod of deleted) t.strictSame(await holders(pod.containerId), [])
    t.match(await kept?.check(), { exitCode: 0 })
  })
})

t.test('an agent reads no note that is none, and leaves it', async (t) => {
  const pod = await Pod.add()
  await agent.stop()
  mkdirSync('/run/bramble/pending', { recursive: true })
  const strange = ['no-colon', `${pod.containerId}:eth0:x`, '..:eth0', 'a b:eth0', 'a:..']
  for (const name of strange) writeFileSync(`/run/bramble/pending/${name}`, 'rm -rf /')
  agent = await Agent.start()
  t.strictSame(readdirSync('/run/bramble/pending').sort(), strange.sort())
  t.match(await pod.check(), { exitCode: 0 })
  for (const name of strange) rmSync(`/run/bramble/pending/${name}`)
})

t.test('leases and kernel agree when all is over', async (t) => t.strictSame(await agent.ask('ipam check'), []))

t.end()

/** What is ours on the node, but for links: those may stay a moment longer. */
async function nodeState(): Promise<object> {
  const links: { ifname: string; group: string }[] = await ip(undefined, 'link', 'show') // at once: some are going
  return {
    routes: await ipLines(undefined, '-4', 'route', 'show', 'proto', '98'),
    routes6: await ipLines(undefined, '-6', 'route', 'show', 'proto', '98'),
    neighbours: await ipLines(undefined, 'neighbour', 'show', 'nud', 'permanent'),
    podLinks: links.filter(({ ifname, group }) => ifname.startsWith('brm') && group === String(0x62726d01)),
    pods: await agent.ask('pods'),
  }
}

async function holders(containerId: string) {
  return (await agent.ask('pods')).filter((row) => row.containerId === containerId)
}
