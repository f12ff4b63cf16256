import t from 'tap'
import type { Link } from '../../../agent/kernel/links.ts'
import { desiredAttachment, type LinkSide } from '../../../agent/pods/attachment.ts'
import { compareSides, type ObservedSide } from '../../../agent/pods/compare.ts'

const { host, pod } = desiredAttachment({
  containerId: 'c1',
  ifname: 'eth0',
  mtuBytes: 1450,
  addresses: ['10.42.0.7', 'fd42::7'],
  hasIpv6: true,
})

const link = (side: LinkSide): Link => ({
  index: 7,
  name: side.linkName,
  kind: 'veth',
  mtuBytes: 1450,
  mac: side.mac,
  isUp: true,
  isRunning: true,
  isPointToPoint: false,
  group: 0,
  alias: '',
  peerIndex: 2,
  altNames: [],
  parameters: Buffer.alloc(0),
})

/** The kernel's picture right after ADD. */
const observed = (side: LinkSide): ObservedSide => ({ ...side, link: link(side) })

const without = <T>(list: readonly T[], index: number) => list.filter((_, position) => position !== index)

t.test('right after ADD there is no difference', async (t) => {
  t.same(compareSides('on the node', host, observed(host)), [])
  t.same(compareSides('in the pod', pod, observed(pod)), [])
})

t.test('a link that is gone is the one difference', async (t) => {
  t.same(compareSides('in the pod', pod, undefined), ['link eth0 is missing in the pod'])
})

t.test('a link that is down is named', async (t) => {
  const down = { ...observed(pod), link: { ...link(pod), isUp: false } }
  t.same(compareSides('in the pod', pod, down), ['link eth0 is down in the pod'])
})

t.test('a MAC that was changed is named with both', async (t) => {
  const other = { ...observed(pod), link: { ...link(pod), mac: '02:00:00:00:00:99' } }
  t.same(compareSides('in the pod', pod, other), [`link eth0 has MAC 02:00:00:00:00:99, not ${pod.mac} in the pod`])
})

t.test('each thing that is missing is named, with where', async (t) => {
  const nothing = { ...observed(pod), addresses: [], routes: [], neighbours: [], sysctls: [] }
  t.same(compareSides('in the pod', pod, nothing), [
    'setting ipv6/conf/eth0/disable_ipv6=0 is missing in the pod',
    'setting ipv6/conf/eth0/accept_ra=0 is missing in the pod',
    'address 10.42.0.7/32 is missing in the pod',
    'address fd42::7/128 is missing in the pod',
    `address ${pod.addresses[2]?.address}/64 is missing in the pod`,
    'route 169.254.1.1/32 is missing in the pod',
    'route 0.0.0.0/0 via 169.254.1.1 is missing in the pod',
    'route ::/0 via fe80::ecee:eeff:feee:eeee is missing in the pod',
    'neighbour 169.254.1.1 at ee:ee:ee:ee:ee:ee is missing in the pod',
    'neighbour fe80::ecee:eeff:feee:eeee at ee:ee:ee:ee:ee:ee is missing in the pod',
  ])
})

t.test('each single thing that is missing is a difference', async (t) => {
  for (const [where, side] of [
    ['on the node', host],
    ['in the pod', pod],
  ] as const)
    for (const list of ['sysctls', 'addresses', 'routes', 'neighbours'] as const)
      for (const index of side[list].keys()) {
        const lacking = { ...observed(side), [list]: without(side[list] as readonly unknown[], index) }
        t.equal(compareSides(where, side, lacking).length, 1, `${list} ${index} ${where}`)
      }
})

t.test('what has changed is named with both values', async (t) => {
  const changed = {
    ...observed(pod),
    sysctls: pod.sysctls.map(({ key }) => ({ key, value: '1' })),
    routes: pod.routes.map((route) => (route.destination === '0.0.0.0/0' ? { ...route, gateway: '10.42.0.1' } : route)),
    neighbours: pod.neighbours.map(({ address }) => ({ address, mac: '02:00:00:00:00:99' })),
  }
  t.same(compareSides('in the pod', pod, changed), [
    'setting ipv6/conf/eth0/disable_ipv6=0 is ipv6/conf/eth0/disable_ipv6=1 in the pod',
    'setting ipv6/conf/eth0/accept_ra=0 is ipv6/conf/eth0/accept_ra=1 in the pod',
    'route 0.0.0.0/0 via 169.254.1.1 is 0.0.0.0/0 via 10.42.0.1 in the pod',
    'neighbour 169.254.1.1 at ee:ee:ee:ee:ee:ee is 169.254.1.1 at 02:00:00:00:00:99 in the pod',
    'neighbour fe80::ecee:eeff:feee:eeee at ee:ee:ee:ee:ee:ee is fe80::ecee:eeff:feee:eeee at 02:00:00:00:00:99 in the pod',
  ])
})

t.test('what is there besides is the doing of later plugins, and no difference', async (t) => {
  const more = {
    ...observed(pod),
    link: { ...link(pod), mtuBytes: 1300 },
    addresses: [...pod.addresses, { address: '192.0.2.1', prefixLength: 24 }],
    routes: [...pod.routes, { destination: '192.0.2.0/24', table: 254, metric: 0, protocol: 2 }],
    neighbours: [...pod.neighbours, { address: '192.0.2.9', mac: '02:00:00:00:00:99' }],
  }
  t.same(compareSides('in the pod', pod, more), [])
})

t.test('a route in another table or of another metric is another route', async (t) => {
  for (const change of [{ table: 100 }, { metric: 5 }]) {
    const moved = { ...observed(host), routes: host.routes.map((route) => ({ ...route, ...change })) }
    t.same(compareSides('on the node', host, moved), [
      'route 10.42.0.7/32 is missing on the node',
      'route fd42::7/128 is missing on the node',
    ])
  }
})

t.test('metric 0 of an IPv6 route is 1024 once it is in the kernel', async (t) => {
  const listed = {
    ...observed(host),
    routes: host.routes.map((route) => (route.destination === 'fd42::7/128' ? { ...route, metric: 1024 } : route)),
  }
  t.same(compareSides('on the node', host, listed), [])
})
