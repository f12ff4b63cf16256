import t from 'tap'
import { CHECKS, type Planned, plan, policyPlan, type Site } from '../../../ctl/connectivity/plan.ts'

const pod = (name: string, node: string) => ({ name, node, isNode: false })
const SITE: Site = {
  servers: [
    { name: 'server-0', node: 'pi-1', addresses: ['10.42.1.2', 'fd42::1:2'] },
    { name: 'server-1', node: 'pi-2', addresses: ['10.42.2.2', 'fd42::2:2'] },
  ],
  places: [pod('client-0', 'pi-1'), { name: 'node-0', node: 'pi-1', isNode: true }],
  nodes: [
    { name: 'pi-1', addresses: ['192.168.1.11'] },
    { name: 'pi-2', addresses: ['192.168.1.12', '2001:db8::12'] },
  ],
  service: { name: 'server.test.svc', addresses: ['10.96.0.1'] },
  hasNames: true,
  outside: [
    { address: '192.0.2.1', port: 443 },
    { address: '2001:db8::1', port: 443 },
  ],
}

const said = (planned: readonly Planned[]) =>
  planned.map(({ place, check, to, probe: { target, expects } }) =>
    [place.name, check, to, target, expects].join(' | '),
  )

t.test('from a pod and from its node: everything that is there, in each family', (t) => {
  t.same(said(plan(SITE)), [
    'client-0 | pod to pod on its node: TCP | pod on pi-1 | 10.42.1.2 | reached',
    'client-0 | pod to pod on its node: UDP | pod on pi-1 | 10.42.1.2 | reached',
    'client-0 | pod to pod on its node: full size | pod on pi-1 | 10.42.1.2 | reached',
    'client-0 | pod to pod on its node: TCP | pod on pi-1 | fd42::1:2 | reached',
    'client-0 | pod to pod on its node: UDP | pod on pi-1 | fd42::1:2 | reached',
    'client-0 | pod to pod on its node: full size | pod on pi-1 | fd42::1:2 | reached',
    'client-0 | pod to pod on another node: TCP | pod on pi-2 | 10.42.2.2 | reached',
    'client-0 | pod to pod on another node: UDP | pod on pi-2 | 10.42.2.2 | reached',
    'client-0 | pod to pod on another node: full size | pod on pi-2 | 10.42.2.2 | reached',
    'client-0 | pod to pod on another node: TCP | pod on pi-2 | fd42::2:2 | reached',
    'client-0 | pod to pod on another node: UDP | pod on pi-2 | fd42::2:2 | reached',
    'client-0 | pod to pod on another node: full size | pod on pi-2 | fd42::2:2 | reached',
    'client-0 | pod to Service | Service server.test.svc | 10.96.0.1 | reached',
    'client-0 | pod to its node | node pi-1 | 192.168.1.11 | reached',
    'client-0 | pod to another node | node pi-2 | 192.168.1.12 | reached',
    'client-0 | pod to another node | node pi-2 | 2001:db8::12 | reached',
    'client-0 | pod to outside | 192.0.2.1 | 192.0.2.1 | reached',
    'client-0 | pod to outside | 2001:db8::1 | 2001:db8::1 | reached',
    'client-0 | pod asks DNS | server.test.svc | server.test.svc | reached',
    'node-0 | node to pod on it | pod on pi-1 | 10.42.1.2 | reached',
    'node-0 | node to pod on it | pod on pi-1 | fd42::1:2 | reached',
    'node-0 | node to pod on another node | pod on pi-2 | 10.42.2.2 | reached',
    'node-0 | node to pod on another node | pod on pi-2 | fd42::2:2 | reached',
    'node-0 | node to outside | 192.0.2.1 | 192.0.2.1 | reached',
    'node-0 | node to outside | 2001:db8::1 | 2001:db8::1 | reached',
  ])
  t.end()
})

t.test('a family that pods have not is not tried, nor a Service or names that are not there', (t) => {
  const servers = SITE.servers.map((server) => ({ ...server, addresses: server.addresses.slice(0, 1) }))
  const { service: _, ...rest } = SITE
  const lines = said(plan({ ...rest, servers }))
  t.notMatch(lines.join('\n'), /:.*:.*\| reached.*fd42|2001:db8|Service|DNS/)
  t.notMatch(said(plan({ ...SITE, hasNames: false })).join('\n'), 'DNS')
  t.end()
})

t.test('each probe has a number of its own, and each check a line in the table', (t) => {
  const planned = plan(SITE)
  t.same(
    planned.map(({ probe }) => probe.id),
    planned.map((_, index) => index),
  )
  for (const { check } of planned) t.ok(CHECKS.includes(check))
  t.end()
})

t.test('pods are told apart: the right one has to answer, and see the address of who asks', (t) => {
  const [tcp] = plan(SITE)
  t.match(tcp?.probe, { answerers: ['server-0'], keepsSource: true })
  const service = plan(SITE).find(({ check }) => check === 'pod to Service')
  t.match(
    service?.probe,
    { answerers: ['server-0', 'server-1'], keepsSource: undefined },
    'of a Service any of its pods',
  )
  t.end()
})

t.test('with the policy friends have to get through, and strangers must not', (t) => {
  const planned = policyPlan(SITE.servers.slice(0, 1), [pod('friend-0', 'pi-1')], [pod('stranger-0', 'pi-2')])
  t.same(said(planned), [
    'friend-0 | policy lets through | pod on pi-1 | 10.42.1.2 | reached',
    'friend-0 | policy lets through | pod on pi-1 | fd42::1:2 | reached',
    'stranger-0 | policy blocks | pod on pi-1 | 10.42.1.2 | blocked',
    'stranger-0 | policy blocks | pod on pi-1 | fd42::1:2 | blocked',
  ])
  t.end()
})

t.end()
