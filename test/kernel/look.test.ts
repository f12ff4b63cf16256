import { pino } from 'pino'
import t, { type Test } from 'tap'
import type { ClusterNode, ClusterView } from '../../agent/cluster/view.ts'
import { KernelError } from '../../agent/kernel/errors.ts'
import { LazyNftables } from '../../agent/kernel/lazy-nftables.ts'
import { Netlink, NetlinkEvents, RTNLGRP } from '../../agent/kernel/netlink.ts'
import { NodeNetwork } from '../../agent/nodes/network.ts'
import { type NodeSubsystems, nodeSubsystems } from '../../agent/nodes/subsystems.ts'
import { TunnelFeatures } from '../../agent/nodes/tunnel-features.ts'
import { parseCidr } from '../../ipam/address.ts'
import { DEFAULTS } from '../states/cluster-state.ts'
import { until } from './agent.ts'
import { capture, enterScratchNode, run } from './scratch.ts'

await enterScratchNode()
// The loop's own timers and sockets keep no process alive.
const alive = setInterval(() => {}, 1_000)
t.teardown(() => clearInterval(alive))

/** As a DHCP client sets it: no address brings it, so that only its own events tell of it. */
const LAN = ['192.168.1.0/24', 'dev', 'eth0', 'proto', 'dhcp', 'scope', 'link']
await run('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'lan')
await run('ip', 'address', 'add', '192.168.1.1/32', 'dev', 'eth0')
for (const link of ['eth0', 'lan']) await run('ip', 'link', 'set', link, 'up')
await run('ip', 'route', 'add', ...LAN)
await run('ip', 'route', 'add', 'default', 'via', '192.168.1.254')

const node = (number: number, address: string): ClusterNode => ({
  name: `pi-${number}`,
  podCidrs: [parseCidr(`10.42.${number}.0/24`)],
  addresses: [address],
})
const [SELF, NEAR, FAR] = [node(1, '192.168.1.1'), node(2, '192.168.1.2'), node(3, '192.168.2.3')]
const view = (...nodes: ClusterNode[]): ClusterView => ({ nodes: new Map(nodes.map((one) => [one.name, one])) })
const settings = { ...DEFAULTS, masquerade: { isOn: false, exempt: [] } }

const netlink = new Netlink()
/** The real ones; but each test may have something happen when routes are listed or set. */
const real = nodeSubsystems(netlink, new LazyNftables(), undefined, true)
let onList: (() => Promise<void>) | undefined
let refusedRoute = ''
const subsystems: NodeSubsystems = {
  ...real,
  routes: {
    ...real.routes,
    list: async () => {
      const work = onList
      onList = undefined
      await work?.()
      return real.routes.list()
    },
    put: async (objects) => {
      const allowed = objects.filter(({ desired }) => desired.destination !== refusedRoute)
      const outcomes = await real.routes.put(allowed)
      return objects.map((one) =>
        allowed.includes(one) ? outcomes[allowed.indexOf(one)] : new KernelError('route add', 'ENOMEM'),
      )
    },
  },
}

function network(t: Test, log = pino({ level: 'silent' })) {
  const nodes = new NodeNetwork({
    netlink,
    subsystems,
    thisNode: { ...SELF, tellsAddresses: false },
    settings,
    features: new TunnelFeatures(settings),
    onDesired: () => {},
    log,
  })
  const events = new NetlinkEvents(Object.values(RTNLGRP), [nodes])
  t.teardown(async () => {
    events.close()
    await nodes.close()
  })
  return nodes
}
t.teardown(() => netlink.close())
const routeTo = async (cidr: string) => (await capture('ip', ['route', 'show', cidr])).stdout

t.test('a route that comes back while everything is listed is not missed', async (t) => {
  const nodes = network(t)
  nodes.setView({ view: view(SELF, NEAR, FAR), problems: [] })
  await until('the near node is reached directly', async () => (await routeTo('10.42.2.0/24')).includes('dev eth0'))
  let isBack = false
  onList = async () => {
    await run('ip', 'route', 'add', ...LAN)
    await new Promise((resolve) => setTimeout(resolve, 20)) // the event is there before the lists are taken over
    isBack = true
  }
  await run('ip', 'route', 'delete', ...LAN)
  await until('it has come back meanwhile', () => isBack)
  await until('it is reached directly again', async () => (await routeTo('10.42.2.0/24')).includes('dev eth0'))
  t.same(nodes.problems, [])
})

t.test('what could not be set is told until it is, whatever else changes meanwhile', async (t) => {
  const nodes = network(t)
  const [refused, other] = [node(5, '192.168.2.5'), node(4, '192.168.1.4')]
  refusedRoute = '10.42.5.0/24'
  nodes.setView({ view: view(SELF, refused), problems: [] })
  const isTold = () => nodes.problems.some((problem) => problem.startsWith('route 10.42.5.0/24'))
  await until('it is told', isTold)
  nodes.setView({ view: view(SELF, refused, other), changed: new Set(['pi-4']), problems: [] })
  await until('the other one is reached', async () => (await routeTo('10.42.4.0/24')).includes('dev eth0'))
  t.ok(isTold())
  refusedRoute = ''
  await until('it is set', () => nodes.problems.length === 0)
})

t.test('who waits for the first view waits for one that is still to come', async (t) => {
  const nodes = network(t)
  let isJoined: boolean | undefined
  nodes.settled(20_000).then(() => (isJoined = nodes.desired !== undefined))
  await new Promise((resolve) => setImmediate(resolve))
  nodes.setView({ view: view(SELF, FAR), problems: [] })
  await until('it is told', () => isJoined !== undefined)
  t.equal(isJoined, true)
  t.equal(nodes.overheadBytes, 50)
})

t.test('thousands of things that cannot be used are told, and the log gets the first fifty, once', async (t) => {
  const lines: string[] = []
  const nodes = network(t, pino({ level: 'warn' }, { write: (line: string) => lines.push(line) }))
  const problems = Array.from({ length: 10_000 }, (_, index) => ({ object: `Node g${index}`, reason: 'noise' }))
  for (const _ of ['told', 'told again']) nodes.setView({ view: view(SELF), problems: problems.slice() })
  t.equal(nodes.problems.length, 10_000)
  t.equal(lines.filter((line) => line.includes('"reason":"noise"')).length, 50)
  t.match(lines[50], '"more":9950')
  t.equal(lines.length, 51)
})
