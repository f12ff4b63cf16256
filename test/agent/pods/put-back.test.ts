import t from 'tap'
import { formatAlias } from '../../../agent/alias.ts'
import { LINK_GROUP } from '../../../agent/ownership.ts'
import type { ObservedSide } from '../../../agent/pods/compare.ts'
import { hostSideOf, isAsMade, putBack } from '../../../agent/pods/put-back.ts'
import { podLink } from './pod-link.ts'

const LEASE = {
  containerId: 'c1',
  ifname: 'eth0',
  network: 'bramble',
  pod: 'shop/web-0',
  addresses: ['10.42.0.7', 'fd42::7'],
}
const LINK = podLink(LEASE)
const HOST = hostSideOf(LEASE, LINK, true)
const WHOLE: ObservedSide = { ...HOST, link: LINK }

const words = (observed: Partial<ObservedSide>) =>
  putBack(LEASE, HOST, { ...WHOLE, ...observed }).requests.map(({ name }) => name)

t.test('of what is as ADD made it nothing is put', async (t) => {
  t.same(putBack(LEASE, HOST, WHOLE), { sysctls: [], requests: [] })
  t.ok(isAsMade(LINK, LEASE))
})

t.test('what is missing is put, and nothing else', async (t) => {
  t.same(words({ routes: HOST.routes.slice(1) }), ['route add 10.42.0.7/32 dev 7'])
  t.match(words({ neighbours: HOST.neighbours.slice(0, 1) }), [
    /^neighbour replace fd42::7 lladdr .* dev 7 nud permanent$/,
  ])
  t.same(words({ addresses: [] }), ['address add fe80::ecee:eeff:feee:eeee/64 dev 7'])
  t.same(putBack(LEASE, HOST, { ...WHOLE, sysctls: HOST.sysctls.slice(1) }).sysctls, HOST.sysctls.slice(0, 1))
})

t.test('the link gets back its name, its marks and its MAC before it is up, and what it has comes last', async (t) => {
  const link = { ...LINK, name: 'lan0', group: 0, alias: '', mac: '02:00:00:00:00:01', isUp: false, mtuBytes: 1400 }
  t.notOk(isAsMade(link, LEASE))
  t.same(words({ link, routes: [] }), [
    `link set 7 name ${LINK.name}`,
    `link set 7 group ${LINK_GROUP.pods}`,
    'link set 7 alias',
    'link set 7 mtu 1400 address ee:ee:ee:ee:ee:ee',
    'link set 7 up',
    'route add 10.42.0.7/32 dev 7',
    'route add fd42::7/128 dev 7',
  ])
})

t.test('each difference of the link alone is one', async (t) => {
  for (const change of [
    { name: 'lan0' },
    { group: 0 },
    { group: LINK_GROUP.condemned },
    { alias: '' },
    { alias: formatAlias({ ...LEASE, addresses: ['10.42.0.8'] }) },
    { mac: '02:00:00:00:00:01' },
    { isUp: false },
  ]) {
    t.notOk(isAsMade({ ...LINK, ...change }, LEASE), JSON.stringify(change))
    t.equal(words({ link: { ...LINK, ...change } }).length, 1, JSON.stringify(change))
  }
})

t.test('the MTU is whose it is', async (t) => {
  t.ok(isAsMade({ ...LINK, mtuBytes: 1300 }, LEASE))
  t.same(words({ link: { ...LINK, mtuBytes: 1300 } }), [])
})

t.test("another program's route over the same link is not taken for ours", async (t) => {
  const routes = HOST.routes.map((route) => ({ ...route, protocol: 4 }))
  t.same(words({ routes }), ['route add 10.42.0.7/32 dev 7', 'route add fd42::7/128 dev 7'])
})

t.test('a link whose MTU is too small for IPv6 has no settings of IPv6 to put back', async (t) => {
  const { sysctls } = hostSideOf(LEASE, { ...LINK, mtuBytes: 1200 }, true)
  t.same(
    sysctls.filter(({ key }) => key.startsWith('ipv6/')),
    [],
  )
})
