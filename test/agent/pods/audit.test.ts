import t from 'tap'
import { formatAlias } from '../../../agent/alias.ts'
import type { Link } from '../../../agent/kernel/links.ts'
import type { ListedRoute } from '../../../agent/kernel/routes.ts'
import { hostLinkName, LINK_GROUP, ROUTE_PROTOCOL } from '../../../agent/ownership.ts'
import { differences } from '../../../agent/pods/audit.ts'
import type { Lease } from '../../../ipam/leases.ts'
import { podLink } from './pod-link.ts'

const LEASE: Lease = {
  containerId: 'c1',
  ifname: 'eth0',
  network: 'pods',
  pod: 'default/web',
  addresses: ['10.42.0.7', 'fd42::7'],
}
const OTHER: Lease = { ...LEASE, containerId: 'c2', addresses: ['10.42.0.8', 'fd42::8'] }
const NAME = hostLinkName('c1', 'eth0')
const OTHER_NAME = hostLinkName('c2', 'eth0')

const linkOf = (lease: Lease, index: number, change: Partial<Link> = {}) => podLink(lease, { index, ...change })

const route = (destination: string, linkIndex: number, protocol: number = ROUTE_PROTOCOL): ListedRoute => ({
  destination,
  linkIndex,
  protocol,
  table: 254,
  metric: 0,
})
const routesOf = (lease: Lease, linkIndex: number) =>
  lease.addresses.map((address) => route(`${address}/${address.includes(':') ? 128 : 32}`, linkIndex))

t.test('leases with their links and routes are no difference', async (t) => {
  const links = [linkOf(LEASE, 7), linkOf(OTHER, 8)]
  t.same(differences([LEASE, OTHER], links, [...routesOf(LEASE, 7), ...routesOf(OTHER, 8)]), [])
  t.same(differences([], [], []), [])
})

t.test("links and routes that are not ours are nobody's difference", async (t) => {
  const strange = [
    linkOf(OTHER, 8, { kind: 'dummy' }),
    linkOf(OTHER, 9, { group: 0, alias: '' }),
    linkOf(OTHER, 10, { name: 'brm1' }),
    linkOf(OTHER, 11, { name: 'eth0', kind: '' }),
  ]
  t.same(differences([], strange, [route('10.42.0.9/32', 8, 3), route('0.0.0.0/0', 11, 3)]), [])
})

t.test('a lease without a link is named with its container', async (t) => {
  t.same(differences([LEASE], [], []), ['lease 10.42.0.7, fd42::7 of eth0 of container c1 has no link'])
})

t.test('a link that is condemned counts while its lease is there, and is no difference without', async (t) => {
  const condemned = linkOf(LEASE, 7, { group: LINK_GROUP.condemned })
  t.same(differences([LEASE], [condemned], routesOf(LEASE, 7)), [])
  t.same(differences([], [condemned], []), [])
})

t.test('a link without a lease is named', async (t) => {
  t.same(differences([], [linkOf(LEASE, 7)], []), [`link ${NAME} has no lease`])
})

t.test('an address without its route is named', async (t) => {
  t.same(differences([LEASE], [linkOf(LEASE, 7)], routesOf(LEASE, 7).slice(1)), [
    `address 10.42.0.7 of eth0 of container c1 has no route to ${NAME}`,
  ])
})

t.test('a route of ours that belongs to no lease is named with its link', async (t) => {
  t.same(differences([LEASE], [linkOf(LEASE, 7)], [...routesOf(LEASE, 7), route('10.42.0.99/32', 7)]), [
    `route 10.42.0.99/32 over ${NAME} has no lease`,
  ])
  t.same(differences([], [], [route('10.42.0.0/24', 5)]), ['route 10.42.0.0/24 over 5 has no lease'])
})

t.test("a route of ours over another pod's link is named", async (t) => {
  const links = [linkOf(LEASE, 7), linkOf(OTHER, 8)]
  const routes = [...routesOf(LEASE, 7), ...routesOf(OTHER, 8)]
  t.same(differences([LEASE, OTHER], links, [...routes, route('10.42.0.7/32', 8)]), [
    `route 10.42.0.7/32 over ${OTHER_NAME} has no lease`,
  ])
})

t.test('a record that says something else than the lease is named with both', async (t) => {
  const routes = routesOf(LEASE, 7)
  t.same(
    differences([LEASE], [linkOf(LEASE, 7, { alias: formatAlias({ ...LEASE, addresses: ['10.42.0.9'] }) })], routes),
    [`link ${NAME} records 10.42.0.9, the lease is 10.42.0.7, fd42::7`],
  )
  t.same(differences([LEASE], [linkOf(LEASE, 7, { alias: '' })], routes), [
    `link ${NAME} records nothing, the lease is 10.42.0.7, fd42::7`,
  ])
})

t.test('an address that two leases hold is named with both containers', async (t) => {
  const twin = { ...OTHER, addresses: ['10.42.0.7', 'fd42::8'] }
  const links = [linkOf(LEASE, 7), linkOf(twin, 8)]
  t.same(differences([LEASE, twin], links, [...routesOf(LEASE, 7), ...routesOf(twin, 8)]), [
    'address 10.42.0.7 is held twice: by c1 and c2',
  ])
})
