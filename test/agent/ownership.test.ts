import fc from 'fast-check'
import t from 'tap'
import { hostLinkName, isPodLink, LINK_GROUP, podMacOf, ROUTE_PROTOCOL } from '../../agent/ownership.ts'

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
