import t from 'tap'
import { CNI_VERSIONS } from '../../plugin/network-config.ts'
import { Agent, until } from './agent.ts'
import { addUplink, runIn, setSysctl } from './node.ts'
import { call } from './plugin.ts'
import { Pod } from './pod.ts'
import { enterScratchNode, makeNetns, run } from './scratch.ts'

/** CHECK: passes right after ADD, names every difference, and leaves alone what is another's to change. */
const PASSES = { exitCode: 0, json: undefined, stderr: '' }
const HOST_MAC = 'ee:ee:ee:ee:ee:ee'
const GATEWAY6 = 'fe80::ecee:eeff:feee:eeee'

await enterScratchNode()
await addUplink()
const agent = await Agent.start()
t.after(() => agent.stop())

for (const cniVersion of CNI_VERSIONS.slice(1))
  t.test(`CHECK of CNI ${cniVersion} passes right after ADD`, async (t) => {
    const pod = await Pod.add({ config: { cniVersion } })
    t.strictSame(await pod.check(), PASSES)
  })

t.test('CHECK of CNI 0.3.1 does not exist', async (t) => {
  const pod = await Pod.add({ config: { cniVersion: '0.3.1' } })
  t.match(await pod.check(), { exitCode: 1, json: { code: 1, cniVersion: '0.3.1' } })
})

/** What somebody did, and what CHECK says about it. `4`, `6`, `mac` and `host` stand for what the pod has. */
const DIFFERENCES: Record<string, { readonly on: 'node' | 'pod'; readonly act: string; readonly found: string[] }> = {
  'the route to the pod is deleted': {
    on: 'node',
    act: 'ip route delete {4}/32',
    found: ['route {4}/32 is missing on the node'],
  },
  'the IPv6 route to the pod is deleted': {
    on: 'node',
    act: 'ip -6 route delete {6}/128',
    found: ['route {6}/128 is missing on the node'],
  },
  'the default route of the pod is deleted': {
    on: 'pod',
    act: 'ip route delete default',
    found: ['route 0.0.0.0/0 via 169.254.1.1 is missing in the pod'],
  },
  'the IPv6 default route of the pod is deleted': {
    on: 'pod',
    act: 'ip -6 route delete default',
    found: [`route ::/0 via ${GATEWAY6} is missing in the pod`],
  },
  'the default route of the pod leads elsewhere': {
    on: 'pod',
    act: 'ip route replace default via 169.254.1.9 dev eth0 onlink',
    found: ['route 0.0.0.0/0 via 169.254.1.1 is 0.0.0.0/0 via 169.254.1.9 in the pod'],
  },
  'an address is deleted': {
    on: 'pod',
    act: 'ip address delete {6}/128 dev eth0',
    found: ['address {6}/128 is missing in the pod'],
  },
  'the gateway of IPv6 is deleted on the node': {
    on: 'node',
    act: `ip address delete ${GATEWAY6}/64 dev {host}`,
    found: [`address ${GATEWAY6}/64 is missing on the node`],
  },
  "the neighbour is another station's on the node": {
    on: 'node',
    act: 'ip neighbour replace {4} lladdr 02:00:00:00:00:01 dev {host} nud permanent',
    found: ['neighbour {4} at {mac} is {4} at 02:00:00:00:00:01 on the node'],
  },
  'the gateway has another MAC in the pod': {
    on: 'pod',
    act: `ip neighbour replace ${GATEWAY6} lladdr 02:00:00:00:00:01 dev eth0 nud permanent`,
    found: [`neighbour ${GATEWAY6} at ${HOST_MAC} is ${GATEWAY6} at 02:00:00:00:00:01 in the pod`],
  },
  'a neighbour is deleted': {
    on: 'pod',
    act: 'ip neighbour delete 169.254.1.1 dev eth0',
    found: [`neighbour 169.254.1.1 at ${HOST_MAC} is missing in the pod`],
  },
  'the link is down on the node': {
    on: 'node',
    act: 'ip link set {host} down',
    found: [
      'link {host} is down on the node',
      'route {4}/32 is missing on the node',
      'route {6}/128 is missing on the node',
    ],
  },
  'the link is down in the pod': {
    on: 'pod',
    act: 'ip link set eth0 down',
    found: ['link eth0 is down in the pod', 'route 0.0.0.0/0 via 169.254.1.1 is missing in the pod'],
  },
  'the link has another name in the pod': {
    on: 'pod',
    act: 'ip link set eth0 down name eth9',
    found: ['link eth0 is missing in the pod'],
  },
}

t.test('CHECK finds that', async (t) => {
  for (const [what, { on, act, found }] of Object.entries(DIFFERENCES))
    t.test(what, async (t) => {
      const pod = await Pod.add()
      const fill = (text: string) =>
        text
          .replaceAll('{4}', pod.addresses[0] ?? '')
          .replaceAll('{6}', pod.addresses[1] ?? '')
          .replaceAll('{mac}', pod.mac)
          .replaceAll('{host}', pod.hostLink)
      const [program = '', ...args] = fill(act).split(' ')
      await runIn(on === 'pod' ? pod.netns : undefined, program, ...args)
      const { exitCode, json } = await pod.check()
      // What is changed on the node the agent puts back: CHECK may find it done.
      if (on === 'pod' || exitCode !== 0) {
        t.match(json, {
          code: 102,
          details: 'delete the pod and let it be made again; find the program that changed it',
        })
        for (const difference of found) t.match(json.msg, fill(difference))
      }
      if (on !== 'pod') await until('the agent has put it back', async () => (await pod.check()).exitCode === 0)
      t.match(await pod.del(), { exitCode: 0 })
    })

  t.test('a setting is changed', async (t) => {
    const pod = await Pod.add()
    // Those of the node's end the agent puts back.
    await setSysctl(pod.netns, 'ipv6/conf/eth0/accept_ra', '2')
    const { json } = await pod.check()
    t.match(json.msg, 'setting ipv6/conf/eth0/accept_ra=0 is ipv6/conf/eth0/accept_ra=2 in the pod')
  })

  t.test('a rule of a further interface is deleted', async (t) => {
    const net1 = await (await Pod.add()).addInterface('net1')
    t.strictSame(await net1.check(), PASSES)
    await runIn(net1.netns, 'ip', 'rule', 'delete', 'from', net1.addresses[0] ?? '')
    t.match(
      (await net1.check()).json.msg,
      new RegExp(`rule from ${net1.addresses[0]} lookup \\d+ is missing in the pod`),
    )
  })

  t.test('the interface in the pod is another', async (t) => {
    const pod = await Pod.add()
    await runIn(pod.netns, 'ip', 'link', 'set', 'eth0', 'down', 'name', 'old')
    await runIn(pod.netns, 'ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'eth0-peer')
    t.match((await pod.check()).json.msg, `eth0 in the pod is not the other end of ${pod.hostLink}`)
  })

  t.test('the result handed in is not what ADD returned', async (t) => {
    const pod = await Pod.add()
    const { json } = await pod.check({ ...pod.result, ips: [{ address: '10.42.9.9/32' }] })
    t.match(json, { code: 102, msg: `prevResult does not show address ${pod.addresses[0]}/32` })
  })

  t.test('much is different, and names it all', async (t) => {
    const pod = await Pod.add()
    await runIn(pod.netns, 'ip', 'address', 'flush', 'dev', 'eth0')
    const { msg } = (await pod.check()).json
    for (const address of [`${pod.addresses[0]}/32`, `${pod.addresses[1]}/128`])
      t.match(msg, `address ${address} is missing in the pod`)
  })

  t.test('the link is gone, the container unknown', async (t) => {
    const pod = await Pod.add()
    await run('ip', 'link', 'delete', pod.hostLink)
    t.match(await pod.check(), {
      exitCode: 1,
      json: { code: 3, msg: `eth0 of container ${pod.containerId} is not known` },
    })
    const { result } = await Pod.add()
    const netns = await makeNetns('stranger')
    t.match(await call('CHECK', { containerId: 'stranger', netns, config: { prevResult: result } }), {
      json: { code: 3 },
    })
  })

  t.test('the result of ADD is not handed in', async (t) => {
    const { containerId, netns } = await Pod.add()
    t.match(await call('CHECK', { containerId, netns }), {
      exitCode: 1,
      json: { code: 7, msg: 'prevResult is missing' },
    })
  })
})

t.test('CHECK leaves alone what is another program to change', async (t) => {
  const pod = await Pod.add()
  const changes = [
    ['ip', 'link', 'set', 'eth0', 'mtu', '1400'],
    ['ip', 'link', 'set', 'eth0', 'alias', 'of somebody else'],
    ['ip', 'address', 'add', '198.51.100.7/24', 'dev', 'eth0'],
    ['ip', 'route', 'add', '203.0.113.0/24', 'via', '198.51.100.1', 'dev', 'eth0'],
    ['ip', 'neighbour', 'add', '198.51.100.1', 'lladdr', '02:00:00:00:00:02', 'dev', 'eth0', 'nud', 'permanent'],
    ['ip', 'link', 'add', 'other', 'type', 'veth', 'peer', 'other-peer'],
    ['sysctl', '-qw', 'net.ipv4.conf.eth0.arp_notify=1'],
  ]
  for (const [program = '', ...args] of changes) await runIn(pod.netns, program, ...args)
  await run('ip', 'link', 'set', pod.hostLink, 'alias', 'what people write there') // see: bramblectl ipam check
  await run('tc', 'qdisc', 'replace', 'dev', pod.hostLink, 'root', 'pfifo')
  t.strictSame(await pod.check(), PASSES)
})

t.end()
