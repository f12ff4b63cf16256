import fc from 'fast-check'
import t from 'tap'
import {
  hostLinkName,
  isOurTable,
  isPodLink,
  isRenamedPodLink,
  isTunnelLink,
  LINK_GROUP,
  podMacOf,
  ROUTE_PROTOCOL,
} from '../../agent/ownership.ts'

const containerId = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/)
const ifname = fc.stringMatching(/^[a-z0-9.-]{1,15}$/)

t.test('the marks are what they were in every release: links and routes of older agents must stay known', async (t) => {
  t.equal(hostLinkName('c1', 'eth0'), 'brmec43057c07aa')
  t.equal(podMacOf('c1', 'eth0'), 'a6:1f:88:26:64:a6')
  t.equal(ROUTE_PROTOCOL, 98)
  t.same(LINK_GROUP, { pods: 0x62726d01, condemned: 0x62726d02 })
})

t.test("a host link's name is brm and 12 hexadecimal digits: 15 characters, as IFNAMSIZ allows", async () => {
  fc.assert(fc.property(containerId, ifname, (id, name) => /^brm[0-9a-f]{12}$/.test(hostLinkName(id, name))))
})

t.test('the boundary between container and interface counts', async (t) => {
  t.not(hostLinkName('c1', '2eth0'), hostLinkName('c12', 'eth0'))
  t.not(podMacOf('c1', '2eth0'), podMacOf('c12', 'eth0'))
})

t.test('a MAC is unicast, locally administered, and the same for the same attachment', async () => {
  fc.assert(
    fc.property(containerId, ifname, (id, name) => {
      const mac = podMacOf(id, name)
      const first = Number.parseInt(mac.slice(0, 2), 16)
      return /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac) && (first & 3) === 2 && mac === podMacOf(id, name)
    }),
  )
})

t.test('a link is ours when name, kind and group say so, and not when one of them does not', async (t) => {
  const ours = { name: 'brm0123456789ab', kind: 'veth', group: LINK_GROUP.pods as number }
  t.ok(isPodLink(ours))
  t.ok(isPodLink({ ...ours, group: LINK_GROUP.condemned }))
  for (const change of [{ group: 0 }, { group: 1 }, { kind: 'dummy' }, { kind: '' }])
    t.notOk(isPodLink({ ...ours, ...change }))
  for (const name of [
    'eth0',
    'brm',
    'brm0123456789a',
    'brm0123456789abc',
    'brm0123456789AB',
    'xbrm0123456789a',
    'brm0123456789ag',
  ])
    t.notOk(isPodLink({ ...ours, name }), name)
})

t.test('a renamed link is known by the record in its alias, and by nothing less', async (t) => {
  const renamed = { name: 'web0', kind: 'veth', group: 0, alias: 'bramble/1 c1 eth0 net 10.42.0.7 - default/web' }
  t.ok(isRenamedPodLink(renamed))
  for (const alias of ['', 'bramble/1 x', 'bramble/9 c1 eth0 net 10.42.0.7 - -', 'bramble/1 c1 eth0 net nowhere - -'])
    t.notOk(isRenamedPodLink({ ...renamed, alias }), alias)
  t.notOk(isRenamedPodLink({ ...renamed, kind: 'dummy' }))
  t.notOk(isRenamedPodLink({ ...renamed, name: hostLinkName('c1', 'eth0') }), 'that one has its name')
})

t.test('a tunnel is ours by its name and the kind that belongs to it', async (t) => {
  for (const [name, kind] of [
    ['bramble.vxlan', 'vxlan'],
    ['bramble.ipip', 'ipip'],
    ['bramble.gre', 'gre'],
    ['bramble.wg', 'wireguard'],
  ] as const) {
    t.ok(isTunnelLink({ name, kind }), name)
    t.notOk(isTunnelLink({ name, kind: 'dummy' }), `${name}, a dummy`)
    t.notOk(isTunnelLink({ name: 'flannel.1', kind }), `flannel.1, ${kind}`)
  }
  t.notOk(isTunnelLink({ name: 'bramble.vxlan', kind: 'wireguard' }))
  t.notOk(isTunnelLink({ name: 'constructor', kind: 'Object' }))
})

t.test(
  "a table is ours when its name is bramble, with or without more after a mark, and no other word's",
  async (t) => {
    for (const name of ['bramble', 'bramble.policy', 'bramble-nat', 'bramble_6']) t.ok(isOurTable(name), name)
    for (const name of ['brambles-of-others', 'bramblebush', 'my.bramble', 'Bramble', ''])
      t.notOk(isOurTable(name), name)
  },
)
