import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { formatAlias } from '../../agent/alias.ts'
import { Agent } from './agent.ts'
import { pings } from './node.ts'
import { call } from './plugin.ts'
import { Pod } from './pod.ts'
import { capture, enterScratchNode, makeNetns, run } from './scratch.ts'
import { addForeignObjects, leases } from './state.ts'

/*
 * A downgrade: what a later version has left in the kernel and on tmpfs says formats that this one does not know. Pods of that
 * time keep their network and their addresses, and are told apart from what nobody needs any more.
 */
await enterScratchNode()
await addForeignObjects()
let agent = await Agent.start()
const web = { HostPort: 80, ContainerPort: 8080, Protocol: 'tcp' }
const pod = await Pod.add({ config: { runtimeConfig: { portMappings: [web] } } })
const ports = async () => (await capture('nft', ['list', 'table', 'inet', 'bramble-hostports'])).stdout
const { hostLink, containerId, ifname, addresses } = pod
const NOTE = '/run/bramble/pending/v2:one:eth0'

t.test('an agent that starts on the state of a later version leaves its pods their network', async (t) => {
  await agent.stop()
  const alias = formatAlias({ containerId, ifname, network: 'test', addresses, pod: '' })
  await run('ip', 'link', 'set', hostLink, 'alias', `${alias.replace('bramble/1', 'bramble/2')} and-more`)
  writeFileSync('/run/bramble/freed', readFileSync('/run/bramble/freed', 'utf8').replace('freed/1', 'freed/2'))
  mkdirSync('/run/bramble/pending', { recursive: true })
  writeFileSync(NOTE, '{"version":2}')

  agent = await Agent.start()
  for (const address of addresses) t.ok(await pings(undefined, address))
  t.match(await ports(), `tcp . 80 : ${addresses[0]} . 8080`, 'their ports of the node lead to them')
  const told = agent.log.find(({ msg }) => /record of a pod cannot be read/.test(String(msg)))
  t.match(told, { link: hostLink, addresses }, 'and it says which, and what to do')
  t.ok(existsSync(NOTE), 'a note that it cannot read is for the later version')
})

t.test('their addresses and ports are not given out again', async (t) => {
  const config = { runtimeConfig: { portMappings: [web] } }
  const rival = { containerId: 'rival', netns: await makeNetns('rival'), config }
  t.match(await call('ADD', rival), { exitCode: 1, json: { code: 11, msg: /^tcp port 80 of the node leads to / } })
  const other = await Pod.add()
  t.notOk(other.addresses.some((address) => addresses.includes(address)))
  t.equal((await leases(agent)).length, 2)
  await other.del()
})

t.test('they can be deleted, and their addresses and ports are free then', async (t) => {
  t.match(await pod.del(), { exitCode: 0 })
  t.equal(await ports(), '')
  t.strictSame(await leases(agent), [])
})

t.teardown(() => agent.stop())
