import t from 'tap'
import { Agent, exchange } from './agent.ts'
import { enterScratchNode, makeNetns, run } from './scratch.ts'

await enterScratchNode()
const CONFIG = JSON.stringify({ cniVersion: '1.1.0', name: 'bramble', type: 'bramble' })
const call = (agent: Agent, CNI_COMMAND: string, name: string, CNI_IFNAME: string) =>
  exchange(
    agent.socket,
    'cni',
    { CNI_COMMAND, CNI_CONTAINERID: name, CNI_NETNS: `/run/netns/${name}`, CNI_IFNAME },
    CONFIG,
  )

t.test(
  "hard case 14: another's route to the pod's address refuses the ADD of any interface, and nothing else",
  async (t) => {
    const agent = await Agent.start()
    await run('ip', 'route', 'add', '10.42.0.1/32', 'dev', 'lo')
    await makeNetns('one')
    const refused = await call(agent, 'ADD', 'one', 'net1')
    t.match(JSON.parse(refused.body.toString()), { code: 100, msg: /10\.42\.0\.1.*EEXIST/ })
    t.notMatch(await run('ip', '-n', 'one', 'rule'), 'from 10.42', 'its rules are taken back')
    t.equal((await call(agent, 'ADD', 'one', 'net1')).exitCode, 0, 'the next address serves')
    t.same(await agent.ask('ipam check'), [])
    t.equal(await agent.stop(), 0)
  },
)

t.test('a pod CIDR that overlaps a network of the node is refused at the start, by the name of its link', async (t) => {
  await run('ip', 'link', 'add', 'lan0', 'type', 'veth', 'peer', 'lan1')
  await run('ip', 'address', 'add', '10.43.0.9/16', 'dev', 'lan0')
  for (const link of ['lan0', 'lan1']) await run('ip', 'link', 'set', link, 'up')
  const agent = Agent.spawn({ podCidrs: ['10.43.7.0/24'] })
  t.equal(await agent.ended(), 1)
  t.match(
    agent.stderr,
    /^bramble-agent: the pod CIDR 10\.43\.7\.0\/24 overlaps 10\.43\.0\.0\/16, the network on lan0; .*\n$/,
  )
})

t.test('an agent that stood still for longer than a deadline loses no answer', async (t) => {
  const agent = await Agent.start({ podCidrs: ['10.44.0.0/24'] })
  const names = Array.from({ length: 20 }, (_, number) => `still-${number}`)
  for (const name of names) await makeNetns(name)
  const calls = names.map((name) => call(agent, 'ADD', name, 'eth0'))
  await new Promise((resolve) => setTimeout(resolve, 15))
  agent.child.kill('SIGSTOP')
  await new Promise((resolve) => setTimeout(resolve, 6_500))
  agent.child.kill('SIGCONT')
  t.same(
    (await Promise.all(calls)).map(({ exitCode }) => exitCode),
    names.map(() => 0),
  )
  t.same(await agent.ask('ipam check'), [])
  await agent.stop()
})
