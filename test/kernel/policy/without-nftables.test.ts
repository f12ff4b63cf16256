import { mkdirSync, realpathSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { Agent, until } from '../agent.ts'
import { ip } from '../node.ts'
import { call } from '../plugin.ts'
import { Pod } from '../pod.ts'
import { enterScratchNode, makeNetns, run } from '../scratch.ts'

await enterScratchNode()
const library = realpathSync((await run('sh', '-c', "ldconfig -p | sed -n 's/.*libnftables.so.1 .*=> //p'")).trim())
writeFileSync('/run/empty', '')
await run('mount', '--bind', '/run/empty', library)

t.test('where policies are known and nftables is not there, no pod starts, and it is said why', async (t) => {
  mkdirSync('/run/cluster')
  const agent = await Agent.start({ args: ['--cluster-dir', '/run/cluster'] })
  const netns = await makeNetns('c1')
  const { exitCode, json } = await call('ADD', { containerId: 'c1', netns })
  t.not(exitCode, 0)
  t.match(
    json.msg,
    /^Cannot set up eth0 of container c1: cannot load libnftables\.so\.1; install the package libnftables1/,
  )
  t.match(json.details, /no pod starts before its policy is in the kernel/)
  t.same(await ip(undefined, 'link', 'show', 'type', 'veth'), [])
  t.same(
    (await agent.ask('ipam')).map(({ used }) => used),
    [0, 0],
  )
  t.match((await agent.ask('status')).problems.join('\n'), /policies cannot be brought into the kernel/)
  await until('that lasts', async () => (await call('STATUS')).exitCode === 1)
  t.match(await call('STATUS'), {
    json: { code: 51, msg: /^policies cannot be brought into the kernel: /, details: /no pod starts/ },
  })

  await run('umount', library)
  await until('it is found again', async () => (await call('ADD', { containerId: 'c1', netns })).exitCode === 0)
  await until('and nothing is wrong', async () => (await agent.ask('status')).problems.length === 0)
  t.equal((await call('STATUS')).exitCode, 0)
  await agent.stop()
  await run('mount', '--bind', '/run/empty', library)
})

t.test('a node without a cluster needs none: its pods start', async (t) => {
  const agent = await Agent.start({ stateDir: '/run/alone', args: ['--masquerade=false'] })
  const pod = await Pod.add({ env: { BRAMBLE_SOCKET: '/run/alone/agent.sock' } })
  t.equal(pod.addresses.length, 2)
  t.match((await agent.ask('status')).problems.join('\n'), /policies cannot be brought into the kernel/)
  t.equal((await call('STATUS', { env: { BRAMBLE_SOCKET: '/run/alone/agent.sock' } })).exitCode, 0)
  await agent.stop()
})
