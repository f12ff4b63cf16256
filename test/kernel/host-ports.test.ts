import { mkdirSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import type { FaultPoint } from '../../agent/fault.ts'
import { Agent, until } from './agent.ts'
import { NODE, setSysctl, sysctl } from './node.ts'
import { call } from './plugin.ts'
import { Pod } from './pod.ts'
import { capture, enterScratchNode, makeNetns, run } from './scratch.ts'
import { PORT as TALK_PORT, Talk } from './talk.ts'
import { Question, seenBy, startWitness } from './witness.ts'

/*
 * Ports of the node that lead to pods, with real packets: from a host on the uplink's network, from the node, from pods.
 */
const PORT = 4001 // of the witnesses
const OUTSIDE = { 4: '192.0.2.50', 6: '2001:db8::50' } as const
const STRANGER = '192.0.2.51'
const SECOND = { 4: '203.0.113.1', 6: '2001:db8:2::1' } as const
const TABLE = 'inet bramble-hostports'
const CLUSTER = '/run/cluster'

await enterScratchNode()
t.setTimeout(240_000)
await layCable()
mkdirSync(CLUSTER)
let agent = await Agent.start({ args: ['--cluster-dir', CLUSTER] })
t.after(() => agent.stop())

const mapping = (more: object = {}) => ({ HostPort: PORT, ContainerPort: PORT, Protocol: 'tcp', HostIP: '', ...more })
const BOTH = [mapping(), mapping({ Protocol: 'UDP' })]
const asks = (...portMappings: object[]) => ({ config: { runtimeConfig: { portMappings } } })

/** A pod whose witness answers on its own addresses. */
async function serve(t: Test, name: string, ...portMappings: object[]): Promise<Pod> {
  const args = `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${name}`
  const pod = await Pod.add({ name, args, ...asks(...portMappings) })
  const end = await startWitness(pod.containerId, ...pod.addresses)
  t.teardown(async () => {
    await end()
    await pod.del()
    await pod.vanish().catch(() => {})
  })
  return pod
}

const table = async () => (await capture('nft', ['list', 'table', ...TABLE.split(' ')])).stdout
const chainOfPods = async () => (await capture('nft', ['list', 'chain', ...TABLE.split(' '), 'from-pods'])).stdout

t.test(
  'a pod without ports leaves no trace in nftables, and the last one with ports takes the table along',
  async (t) => {
    const plain = await Pod.add()
    t.equal(await table(), '')
    const pod = await Pod.add(asks(mapping()))
    t.match(await table(), /tcp \. 4001 : 10\.42\.0\.\d+ \. 4001/)
    t.match(await pod.check(), { exitCode: 0 })
    await pod.del()
    t.equal(await table(), '')
    await plain.del()
  },
)

for (const family of [4, 6] as const)
  for (const protocol of ['tcp', 'udp'] as const)
    t.test(
      `IPv${family}, ${protocol}: whoever asks a port of the node is answered by the pod, which sees who asks`,
      async (t) => {
        const pod = await serve(t, 'web', ...BOTH)
        const other = await Pod.add()
        t.teardown(() => other.del())
        const [own = '', others = ''] = [pod, other].map(({ addresses }) => addresses[family === 4 ? 0 : 1] ?? '')
        t.equal(await seenBy(NODE[family], 'outside', protocol), OUTSIDE[family], 'from outside')
        t.equal(await seenBy(NODE[family], other.containerId, protocol), others, 'from another pod')
        t.ok(await seenBy(NODE[family], undefined, protocol), 'from the node itself')
        const itself = await seenBy(NODE[family], pod.containerId, protocol)
        t.ok(itself, 'from the pod itself')
        t.not(itself, own, 'which sees the node, or the answer would not come back by it')
      },
    )

t.test('127.0.0.1 of the node leads to the pod; ::1 does not, and is refused as before', async (t) => {
  const pod = await serve(t, 'web', ...BOTH)
  for (const protocol of ['tcp', 'udp'] as const) t.ok(await seenBy('127.0.0.1', undefined, protocol), protocol)
  t.equal(await seenBy('::1', undefined), undefined)
  t.equal(await sysctl(undefined, `ipv4/conf/${pod.hostLink}/route_localnet`), '1')
})

t.test(
  'a program of the node at another loopback address is not hidden: systemd-resolved is at 127.0.0.53',
  async (t) => {
    await serve(t, 'dns', ...BOTH)
    t.teardown(await startWitness(undefined, '127.0.0.53'))
    for (const protocol of ['tcp', 'udp'] as const)
      t.equal(await seenBy('127.0.0.53', undefined, protocol), '127.0.0.1', `${protocol}: no address of the uplink`)
  },
)

t.test('a pod does not get to 127.0.0.1 of the node by the way that its answers take (CVE-2020-8558)', async (t) => {
  const pod = await serve(t, 'web', mapping({ HostPort: 4005 }))
  const end = await startWitness(undefined, '127.0.0.1')
  t.teardown(end)
  const [own = ''] = pod.addresses
  const inPod = (...words: string[]) => run('nsenter', `--net=${pod.netns}`, ...words)
  await inPod('sysctl', '-qw', 'net.ipv4.conf.all.route_localnet=1')
  await inPod('ip', 'route', 'add', '127.0.0.0/8', 'via', '169.254.1.1', 'dev', 'eth0', 'src', own)
  for (const route of ['127.0.0.0/8', '127.0.0.1/32'])
    await capture('nsenter', [`--net=${pod.netns}`, 'ip', 'route', 'del', 'local', route, 'table', 'local'])
  t.equal(await seenBy('127.0.0.1', pod.containerId), undefined)
  await agent.stop()
  await run('nft', 'flush', 'chain', ...TABLE.split(' '), 'from-pods')
  t.equal(await seenBy('127.0.0.1', pod.containerId), own, 'this test would see it')
  agent = await Agent.start({ args: ['--cluster-dir', CLUSTER] })
  t.equal(await seenBy('127.0.0.1', pod.containerId), undefined)
})

t.test('a port of 127.0.0.1 is the node’s alone: a neighbour who sends to that address gets to no pod', async (t) => {
  await serve(t, 'web', mapping({ HostIP: '127.0.0.1' }), mapping({ HostIP: '127.0.0.1', Protocol: 'udp' }))
  await setSysctl('/run/netns/outside', 'ipv4/conf/all/route_localnet', '1')
  const words = ['127.0.0.1/32', 'via', NODE[4], 'dev', 'uplink', 'src', OUTSIDE[4]]
  for (const route of ['127.0.0.0/8', '127.0.0.1/32'])
    await run('ip', '-n', 'outside', 'route', 'del', 'local', route, 'dev', 'lo', 'table', 'local')
  await run('ip', '-n', 'outside', 'route', 'add', ...words)
  await run('nft', 'add', 'table', 'ip', 'seen')
  t.teardown(() => run('nft', 'delete', 'table', 'ip', 'seen'))
  for (const [chain, hook, of] of [
    ['came', 'prerouting', 'iifname "uplink" ip daddr 127.0.0.1'],
    ['gone', 'postrouting', 'oifname "brm*"'],
  ] as const) {
    await run('nft', 'add', 'chain', 'ip', 'seen', chain, `{ type filter hook ${hook} priority -400; }`)
    await run('nft', 'add', 'rule', 'ip', 'seen', chain, ...of.split(' '), 'counter')
  }
  const answers = await Promise.all((['tcp', 'udp'] as const).map((one) => seenBy('127.0.0.1', 'outside', one)))
  t.strictSame(answers, [undefined, undefined])
  const packets = async (chain: string) =>
    Number((await run('nft', 'list', 'chain', 'ip', 'seen', chain)).match(/packets (\d+)/)?.[1])
  t.ok((await packets('came')) > 1, 'they come to the node')
  t.equal(await packets('gone'), 0)
  t.ok(await seenBy('127.0.0.1', undefined), 'the node itself gets there')
})

t.test('a hostIP is the only address by which the pod is reached', async (t) => {
  for (const family of [4, 6] as const) {
    await t.test(`IPv${family}`, async (t) => {
      await serve(t, 'web', mapping({ HostIP: SECOND[family] }), mapping({ HostIP: SECOND[family], Protocol: 'udp' }))
      for (const protocol of ['tcp', 'udp'] as const)
        t.equal(await seenBy(SECOND[family], 'outside', protocol), OUTSIDE[family])
      t.equal(await seenBy(NODE[family], 'outside'), undefined)
    })
  }
  await t.test('0.0.0.0 is all of IPv4, and nothing of IPv6', async (t) => {
    const pod = await serve(t, 'web', mapping({ HostIP: '0.0.0.0' }))
    t.equal(await seenBy(SECOND[4], 'outside'), OUTSIDE[4])
    t.equal(await seenBy(NODE[6], 'outside'), undefined)
    t.match(await pod.check(), { exitCode: 0 })
  })
  await t.test('one for localhost alone', async (t) => {
    await serve(t, 'web', mapping({ HostIP: '127.0.0.1' }), mapping({ HostIP: '127.0.0.5' }))
    for (const own of ['127.0.0.1', '127.0.0.5']) t.ok(await seenBy(own, undefined), own)
    t.equal(await seenBy(NODE[4], 'outside'), undefined)
  })
})

t.test('what kube-proxy or portmap translate goes where they say', async (t) => {
  await serve(t, 'web', mapping())
  const behind = await Pod.add({ name: 'behind' })
  const end = await startWitness(behind.containerId, ...behind.addresses)
  t.teardown(() => Promise.all([end(), run('nft', 'delete', 'table', 'ip', 'services'), behind.del()]))
  await run('nft', 'add', 'table', 'ip', 'services')
  await run('nft', 'add', 'chain', 'ip', 'services', 'prerouting', '{ type nat hook prerouting priority dstnat; }')
  const words = `ip services prerouting ip daddr ${NODE[4]} tcp dport ${PORT} counter dnat to ${behind.addresses[0]}`
  await run('nft', 'add', 'rule', ...words.split(' '))
  t.equal(await seenBy(NODE[4], 'outside'), OUTSIDE[4])
  t.match(await run('nft', 'list', 'table', 'ip', 'services'), /counter packets 1 /, 'ours has not taken it before')
  t.equal(await seenBy(SECOND[4], 'outside'), OUTSIDE[4], 'by another address of the node the hostPort is there')
})

t.test('the port in the pod may be another one, and the talk goes on when the agent is killed', async (t) => {
  const pod = await Pod.add(asks(mapping({ HostPort: 5353, ContainerPort: TALK_PORT, Protocol: 'udp' })))
  const talk = await Talk.start('udp', 'outside', pod.containerId, pod.addresses[0] ?? '', {
    address: NODE[4],
    port: 5353,
  })
  await agent.stop('SIGKILL')
  await talk.goesOn()
  agent = await Agent.start({ args: ['--cluster-dir', CLUSTER] })
  await talk.goesOn()
  t.pass()
  await talk.end()
  await pod.del()
})

t.test('who speaks UDP all the time is heard by the pod that comes, and by the next one', async (t) => {
  const question = new Question('outside', 'udp', NODE[4])
  const fromNode = new Question(undefined, 'udp', '127.0.0.1')
  t.teardown(() => Promise.all([question.end(), fromNode.end()]))
  t.equal(await question.ask(), undefined, 'nobody is there yet')
  t.equal(await fromNode.ask(), undefined)
  for (const name of ['first', 'second'])
    await t.test(name, async (t) => {
      await serve(t, name, mapping({ Protocol: 'udp' }))
      t.match(await question.ask(), { address: OUTSIDE[4] })
      t.ok(await fromNode.ask())
    })
})

t.test(
  'hard case 10: who speaks to a pod that goes while no agent runs does not reach the next one with its address',
  async (t) => {
    const gone = await Pod.add({ name: 'gone', ...asks(mapping({ Protocol: 'udp' })) })
    const question = new Question('outside', 'udp', NODE[4])
    t.teardown(() => question.end())
    const end = await startWitness(gone.containerId, ...gone.addresses)
    t.ok(await question.ask())
    await agent.stop('SIGKILL')
    await end()
    await gone.vanish()
    agent = await Agent.start({ args: ['--cluster-dir', CLUSTER] })
    const next = await serve(t, 'next')
    t.strictSame(next.addresses, gone.addresses, 'nobody knew that they were in use')
    t.equal(await question.ask(), undefined)
  },
)

t.test('a port that another pod has is refused with its name, until that pod is gone', async (t) => {
  const pod = await Pod.add({ name: 'web', args: 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web', ...asks(mapping()) })
  const rival = { containerId: 'rival', netns: await makeNetns('rival') }
  for (const HostIP of ['', '0.0.0.0', '::', SECOND[4]])
    t.match(await call('ADD', { ...rival, ...asks(mapping({ HostIP })) }), {
      exitCode: 1,
      json: { code: 11, msg: /^tcp port 4001.* of the node leads to shop\/web already$/, details: /hostPort/ },
    })
  t.match(
    await call('ADD', { ...rival, ...asks(mapping({ Protocol: 'udp', HostPort: 4789 })) }),
    { exitCode: 1, json: { code: 7, msg: /^udp port 4789 .*tunnel/ } },
    'where VXLAN comes in',
  )
  t.match(await call('ADD', { ...rival, ...asks(mapping({ Protocol: 'udp' })) }), { exitCode: 0 }, 'of UDP it is free')
  t.match(await call('DEL', rival), { exitCode: 0 })
  t.match(await pod.addInterface('net1').then(({ ifname }) => ifname), 'net1', 'the same container asks for it again')
  t.match(await agent.ask('pods'), [{ hostPorts: [{ hostPort: PORT, protocol: 'tcp' }] }, { ifname: 'net1' }])
  await pod.del()
  await call('DEL', { containerId: pod.containerId, netns: pod.netns, ifname: 'net1' })
  t.match(await call('ADD', { ...rival, ...asks(mapping()) }), { exitCode: 0 })
  t.match(await call('DEL', rival), { exitCode: 0 })
  t.strictSame(await agent.ask('ipam check'), [])
})

t.test('what somebody takes away is back', async (t) => {
  const pod = await serve(t, 'web', ...BOTH)
  const whole = await table()
  const changes: readonly (readonly string[])[] = [
    ['flush', 'ruleset'],
    ['delete', 'element', ...TABLE.split(' '), 'any4', '{ tcp . 4001 }'],
    ['add', 'element', ...TABLE.split(' '), 'any4', '{ tcp . 4002 : 10.42.0.200 . 80 }'],
    ['flush', 'chain', ...TABLE.split(' '), 'ports'],
    ['delete', 'table', ...TABLE.split(' ')],
  ]
  for (const change of changes) {
    await run('nft', ...change)
    await until(`the table is back after ${change.join(' ')}`, async () => (await table()) === whole)
    t.equal(await seenBy(NODE[4], 'outside'), OUTSIDE[4])
  }
  await run('ip', 'link', 'property', 'del', 'dev', pod.hostLink, 'altname', `${pod.hostLink}_tcp_${PORT}_${PORT}`)
  await until('the record is back', async () => /altname \S+_tcp_/.test(await run('ip', 'link', 'show', pod.hostLink)))
})

t.test('CHECK names a port that leads nowhere, and passes once it is put back', async (t) => {
  const pod = await serve(t, 'web', mapping())
  await until('CHECK has come before the repair', async () => {
    await capture('nft', ['delete', 'element', ...TABLE.split(' '), 'any4', '{ tcp . 4001 }'])
    const { exitCode, json } = await pod.check()
    return exitCode === 1 && /any4 \{ 6 \. 4001 : \S+ \. 4001 \} is missing in inet bramble-hostports/.test(json.msg)
  })
  await until('it is put back', async () => (await pod.check()).exitCode === 0)
  t.match(await table(), /tcp \. 4001/)
})

t.test(
  'the next agent knows whose the ports are, puts back what was taken meanwhile, and removes those of the gone',
  async (t) => {
    const pod = await serve(t, 'web', ...BOTH)
    const gone = await Pod.add({ name: 'gone', ...asks(mapping({ HostPort: 4003 })) })
    const before = await agent.ask('pods')
    await agent.stop('SIGKILL')
    await run('nft', 'flush', 'ruleset')
    await gone.vanish()
    agent = await Agent.start({ args: ['--cluster-dir', CLUSTER] })
    t.equal(await seenBy(NODE[4], 'outside'), OUTSIDE[4])
    t.notMatch(await table(), /4003/)
    t.strictSame(
      (await agent.ask('pods')).filter(({ containerId }) => containerId === pod.containerId),
      before.filter(({ containerId }) => containerId === pod.containerId),
    )
    t.match(await pod.check(), { exitCode: 0 })
  },
)

t.test('a pod whose namespace is gone has no port any more, though nobody called DEL', async (t) => {
  const pod = await Pod.add(asks(mapping()))
  t.match(await table(), /4001/)
  await pod.vanish()
  await until('its port is gone', async () => (await table()) === '')
  t.strictSame(await agent.ask('ipam check'), [])
})

const POINTS: readonly FaultPoint[] = [
  'add:published',
  'add:host-wired',
  'add:recorded',
  'del:unrouted',
  'del:released',
  'del:withdrawn',
]
for (const point of POINTS)
  t.test(`an agent that is killed at ${point} leaves ports to whole pods alone`, async (t) => {
    const containerId = `dies-${point.replace(':', '-')}`
    const pod = { containerId, netns: await makeNetns(containerId), ...asks(mapping()) }
    const isAdd = point.startsWith('add')
    if (!isAdd) t.match(await call('ADD', pod), { exitCode: 0 })
    await agent.stop()
    const dying = await Agent.start({ args: ['--cluster-dir', CLUSTER], env: { BRMTEST_FAULT: point } })
    const reply = call(isAdd ? 'ADD' : 'DEL', pod)
    t.equal(await dying.ended(), 'SIGKILL')
    agent = await Agent.start({ args: ['--cluster-dir', CLUSTER] })
    await reply
    t.equal(/4001/.test(await table()), point === 'add:recorded')
    t.strictSame(await agent.ask('ipam check'), [])
    t.match(await call('DEL', pod), { exitCode: 0 })
    t.equal(await table(), '')
    t.match(await call('ADD', pod), { exitCode: 0 }, 'the port is free')
    t.match(await call('DEL', pod), { exitCode: 0 })
  })

t.test('a policy sees who really asks, and the port of the pod', async (t) => {
  const put = (name: string, object: object) => writeFileSync(`${CLUSTER}/${name}.json`, JSON.stringify(object))
  const labels = { app: 'web' }
  put('pod', { apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'default', name: 'web', labels } })
  put('policy', {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { namespace: 'default', name: 'outside' },
    spec: {
      podSelector: { matchLabels: labels },
      ingress: [
        {
          from: [{ ipBlock: { cidr: `${OUTSIDE[4]}/32` } }],
          ports: [
            { protocol: 'UDP', port: TALK_PORT },
            { protocol: 'TCP', port: PORT },
          ],
        },
      ],
    },
  })
  await until('the policy is known', async () => (await agent.ask('status')).policies === 1)
  await serve(t, 'web', mapping())
  t.equal(await seenBy(NODE[4], 'outside'), OUTSIDE[4], 'the one that may')
  await run('ip', '-n', 'outside', 'route', 'replace', '192.0.2.0/24', 'dev', 'uplink', 'src', STRANGER)
  t.equal(await seenBy(NODE[4], 'outside'), undefined, 'another one')
  t.ok(await seenBy(NODE[4], undefined), 'the node itself')
})

t.test('a pod may have 128 ports, and the next agent knows them all', async (t) => {
  const HostIP = '2001:db8:1111:2222:3333:4444:5555:6666'
  const many = Array.from({ length: 128 }, (_, index) => mapping({ HostPort: 30_000 + index, HostIP }))
  const pod = await Pod.add(asks(...many))
  await agent.stop('SIGKILL')
  await run('nft', 'flush', 'ruleset')
  agent = await Agent.start({ args: ['--cluster-dir', CLUSTER] })
  t.equal((await agent.ask('pods'))[0]?.hostPorts?.length, many.length)
  t.match(await pod.check(), { exitCode: 0 })
  await pod.del()
})

t.test('at the end leases and kernel agree, and nothing is left', async (t) => {
  t.strictSame(await agent.ask('ipam check'), [])
  t.strictSame(await agent.ask('pods'), [])
  t.equal(await table(), '')
  t.equal(await chainOfPods(), '')
})

t.end()

/** A host on the network of the uplink, which has further addresses of the node behind it. */
async function layCable(): Promise<void> {
  await makeNetns('outside')
  await run('ip', 'link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'uplink', 'netns', 'outside')
  const both = (...words: string[]) => Promise.all([run('ip', ...words), run('ip', '-n', 'outside', ...words)])
  await both('link', 'set', 'uplink', 'up')
  await run('ip', '-n', 'outside', 'link', 'set', 'lo', 'up')
  for (const address of [`${NODE[4]}/24`, `${NODE[6]}/64`, `${SECOND[4]}/32`, `${SECOND[6]}/128`])
    await run('ip', 'address', 'add', address, 'dev', 'uplink', ...(address.includes(':') ? ['nodad'] : []))
  for (const address of [`${OUTSIDE[4]}/24`, `${STRANGER}/24`, `${OUTSIDE[6]}/64`])
    await run(
      'ip',
      '-n',
      'outside',
      'address',
      'add',
      address,
      'dev',
      'uplink',
      ...(address.includes(':') ? ['nodad'] : []),
    )
  for (const family of [4, 6] as const)
    await run('ip', '-n', 'outside', 'route', 'add', SECOND[family], 'via', NODE[family])
}
