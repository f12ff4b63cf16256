import fc from 'fast-check'
import t from 'tap'
import { type AttachmentRecord, formatAlias } from '../../../agent/alias.ts'
import type { Link } from '../../../agent/kernel/links.ts'
import type { ListedRoute } from '../../../agent/kernel/routes.ts'
import { hostLinkName, isPodLink, LINK_GROUP, ROUTE_PROTOCOL } from '../../../agent/ownership.ts'
import { planRecovery } from '../../../agent/pods/recover.ts'
import { podLink } from './pod-link.ts'

const RECORD: AttachmentRecord = {
  containerId: 'c1',
  ifname: 'eth0',
  network: 'pods',
  addresses: ['10.42.0.7', 'fd42::7'],
  pod: 'default/web',
}

/** A finished attachment's link, but for the change. */
const link = (change: Partial<Link> = {}) => podLink(RECORD, change)

const route = (destination: string, linkIndex = 7, protocol: number = ROUTE_PROTOCOL): ListedRoute => ({
  destination,
  linkIndex,
  protocol,
  table: 254,
  metric: 0,
})

t.test('a link in the group of pods with its record is adopted, with its routes', async (t) => {
  t.same(planRecovery([link()], [route('10.42.0.7/32'), route('fd42::7/128')]), {
    adopted: [{ link: link(), record: RECORD }],
    unreadable: [],
    leftover: [],
    orphans: [],
  })
})

t.test('a link that somebody has put into another group is adopted by its record', async (t) => {
  t.equal(planRecovery([link({ group: 0 })], []).adopted.length, 1)
})

t.test('a link without a record was never finished: it goes, and its routes', async (t) => {
  const halfMade = link({ alias: '' })
  const routes = [route('10.42.0.7/32')]
  t.same(planRecovery([halfMade], routes), { adopted: [], unreadable: [], leftover: [halfMade], orphans: routes })
})

t.test('a condemned link goes, though it has its record: its DEL had begun', async (t) => {
  const condemned = link({ group: LINK_GROUP.condemned })
  t.same(planRecovery([condemned], []), { adopted: [], unreadable: [], leftover: [condemned], orphans: [] })
})

t.test(
  'a link whose record cannot be read, or is of another link, stays with its routes: a pod may live on it',
  async (t) => {
    const strange = [
      formatAlias({ ...RECORD, containerId: 'c2' }),
      'bramble/1 c1 eth0 pods 12345:: - -',
      'bramble/2 c1 eth0 pods 10.42.0.7 -',
      'my link',
    ]
    for (const alias of strange)
      t.same(
        planRecovery([link({ alias })], [route('10.42.0.7/32')]),
        { adopted: [], unreadable: [link({ alias })], leftover: [], orphans: [] },
        alias,
      )
  },
)

t.test('what is not ours is neither adopted nor removed', async (t) => {
  const strange = [
    link({ kind: 'dummy' }),
    link({ group: 0, alias: '' }),
    link({ name: 'veth0' }),
    link({ name: 'brm0123456789aX' }),
    link({ name: 'cni0', kind: 'bridge', alias: '' }),
  ]
  const routes = [route('10.42.0.9/32', 7, 3), route('0.0.0.0/0', 2, 16), route('10.42.0.7/32', 9, 2)]
  t.same(planRecovery(strange, routes), { adopted: [], unreadable: [], leftover: [], orphans: [] })
})

t.test('a route of ours over another link than its address has goes', async (t) => {
  const astray = [route('10.42.0.7/32', 8), route('10.42.0.8/32', 7), route('10.42.0.0/24', 7)]
  t.same(planRecovery([link()], [route('10.42.0.7/32'), ...astray]).orphans, astray)
})

t.test('every link of ours is adopted, kept or goes, never two of them, whatever the kernel lists', async () => {
  const anyLink = fc
    .record({
      containerId: fc.constantFrom('c1', 'c2', 'c3'),
      named: fc.constantFrom('c1', 'c2', 'c3'),
      kind: fc.constantFrom('veth', 'veth', 'dummy'),
      group: fc.constantFrom(0, LINK_GROUP.pods, LINK_GROUP.pods, LINK_GROUP.condemned),
      hasRecord: fc.boolean(),
    })
    .map(({ containerId, named, kind, group, hasRecord }) => ({
      ...link({ kind, group, name: hostLinkName(named, 'eth0') }),
      alias: hasRecord ? formatAlias({ ...RECORD, containerId }) : '',
    }))
  fc.assert(
    fc.property(fc.array(anyLink, { maxLength: 6 }), (links) => {
      const numbered = links.map((link, index) => ({ ...link, index }))
      const { adopted, unreadable, leftover } = planRecovery(numbered, [])
      const planned = [...adopted.map(({ link }) => link), ...unreadable, ...leftover].map(({ index }) => index)
      const ours = numbered.filter(isPodLink).map(({ index }) => index)
      return planned.sort().join() === ours.sort().join()
    }),
  )
})
