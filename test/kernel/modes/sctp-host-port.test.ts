import t from 'tap'
import { Agent } from '../agent.ts'
import { NODE } from '../node.ts'
import { Pod } from '../pod.ts'
import { listen, type Probe, probe } from '../policy/probe.ts'
import { enterScratchNode, makeNetns, run } from '../scratch.ts'

/*
 * hostPorts of SCTP, with real associations: not every kernel has such sockets, and that of `make test-vm` does. All else about
 * hostPorts is in test/kernel/host-ports.test.ts.
 */
const HOST_PORT = 4001
const POD_PORT = 4100
const OUTSIDE = { 4: '192.0.2.50', 6: '2001:db8::50' } as const

await enterScratchNode()
await makeNetns('outside')
await run('ip', 'link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'uplink', 'netns', 'outside')
for (const [namespace, addresses] of [
  [[], NODE],
  [['-n', 'outside'], OUTSIDE],
] as const) {
  await run('ip', ...namespace, 'link', 'set', 'uplink', 'up')
  await run('ip', ...namespace, 'address', 'add', `${addresses[4]}/24`, 'dev', 'uplink')
  await run('ip', ...namespace, 'address', 'add', `${addresses[6]}/64`, 'dev', 'uplink', 'nodad')
}
const agent = await Agent.start()
t.after(() => agent.stop())

const HostPort = { HostPort: HOST_PORT, ContainerPort: POD_PORT, Protocol: 'sctp', HostIP: '' }
const pod = await Pod.add({ name: 'web', config: { runtimeConfig: { portMappings: [HostPort] } } })
const other = await Pod.add({ name: 'other' })
const quiet = await listen(
  (['sctp', 'tcp'] as const).map((protocol) => ({ netns: pod.containerId, protocol, port: POD_PORT })),
)
t.after(quiet)

const from = (netns: string, address: string, change: Partial<Probe> = {}): Probe => ({
  ...{ netns, address, protocol: 'sctp', port: HOST_PORT, expected: 'open' },
  ...change,
})

t.test('whoever asks the port of the node by SCTP is answered by the pod, over both families', async (t) => {
  const asked = ['outside', other.containerId, pod.containerId, ''].flatMap((netns) =>
    ([4, 6] as const).map((family) => from(netns, NODE[family])),
  )
  t.strictSame(
    await probe(asked),
    asked.map(() => 'open'),
  )
})

t.test('127.0.0.1 of the node leads to the pod', async (t) => {
  // By itself: beside the others, which begin at the same moment, it got no answer once. Its INIT names the node's other addresses, too.
  t.strictSame(await probe([from('', '127.0.0.1')]), ['open'])
})

t.test('that is no port of TCP, and another port of SCTP is the node’s', async (t) => {
  const asked = [
    from('outside', NODE[4], { protocol: 'tcp', expected: 'closed' }),
    from('outside', NODE[4], { port: HOST_PORT + 1, expected: 'closed' }),
  ]
  t.strictSame(await probe(asked), ['refused', 'refused'])
})

t.test('once the pod is gone nobody answers there', async (t) => {
  await pod.del()
  t.strictSame(await probe([from('outside', NODE[4], { expected: 'closed' })]), ['refused'])
})

t.end()
