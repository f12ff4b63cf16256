import t from 'tap'
import { explain } from '../../../agent/api/policy-explain.ts'
import { clusterPolicy, networkPolicy, onAudit, pod, smallCluster } from '../policy/small-cluster.ts'

type Objects = Parameters<typeof smallCluster>[0]

const HTTP = { PORT: '80', PROTOCOL: 'TCP' }
const web = networkPolicy({
  ingress: [{ from: [{ podSelector: { matchLabels: { pod: 'b' } } }], ports: [{ port: 80 }] }],
})

function asked(policies: Objects, FROM: string, TO: string, port: object = HTTP, change = {}) {
  return explain(smallCluster(policies, change).input, { FROM, TO, ...port })
}

t.test('what is allowed is told with the rule that lets it through, as it was written', async (t) => {
  const { isAllowed, cases } = asked([web], 'pod x/b', 'pod x/a')
  t.ok(isAllowed)
  t.match(cases, [
    {
      families: [4, 6],
      ports: 'TCP 80',
      egress: { isAllowed: true, pod: 'x/b', kind: 'default' },
      ingress: {
        isAllowed: true,
        pod: 'x/a',
        rule: {
          policy: 'NetworkPolicy x/web',
          path: 'spec.ingress[0]',
          source: { from: [{ podSelector: { matchLabels: { pod: 'b' } } }], ports: [{ port: 80 }] },
        },
      },
    },
  ])
  t.same(cases[0]?.missing, [])
})

t.test('what is denied is told with the policies that isolate, and the rule that is missing', async (t) => {
  const { isAllowed, cases } = asked([web], 'pod y/b', 'pod x/a')
  t.notOk(isAllowed)
  t.match(cases, [
    {
      ingress: { isAllowed: false, kind: 'isolated', policies: ['NetworkPolicy x/web'] },
      missing: [{ direction: 'ingress', kind: 'rule', policy: 'NetworkPolicy x/web', path: 'spec.ingress[1]' }],
    },
  ])
})

t.test('what would have been denied is told, and who handed it on', async (t) => {
  const pass = clusterPolicy({ ingress: [{ action: 'Pass', from: [{ namespaces: {} }] }] })
  const { isAllowed, cases } = asked([pass, onAudit(networkPolicy({}))], 'pod y/b', 'pod x/a')
  t.ok(isAllowed)
  t.match(cases[0]?.ingress, {
    kind: 'default',
    passes: [{ policy: 'ClusterNetworkPolicy all', path: 'spec.ingress[0]', action: 'Pass' }],
    audited: [{ policies: ['NetworkPolicy x/web'] }],
  })
})

t.test('families that differ are told apart; the peers of both that are missing are one rule', async (t) => {
  const only4 = networkPolicy({ ingress: [{ from: [{ ipBlock: { cidr: '0.0.0.0/0' } }] }] })
  const { isAllowed, cases } = asked([only4], 'world', 'pod x/a')
  t.notOk(isAllowed)
  t.match(cases, [
    { families: [4], isAllowed: true },
    { families: [6], isAllowed: false },
  ])
  const [both] = asked([web], 'world', 'pod x/a').cases
  t.same(both?.families, [4, 6])
  t.same(
    both?.missing.map((one) => one.kind === 'rule' && one.source),
    [
      {
        from: [{ ipBlock: { cidr: '0.0.0.0/0' } }, { ipBlock: { cidr: '::/0' } }],
        ports: [{ protocol: 'TCP', port: 80 }],
      },
    ],
  )
})

t.test('without a port all of them are told, in groups that no rule tells apart', async (t) => {
  const { isAllowed, cases } = asked([web], 'pod x/b', 'pod x/a', {})
  t.notOk(isAllowed, 'not all of it')
  t.match(cases, [
    { ports: 'TCP 80', isAllowed: true },
    { ports: 'other TCP; UDP; SCTP; ICMP', isAllowed: false },
  ])
  t.same(
    cases.map(({ missing }) => missing),
    [[], []],
  )
  const [all] = asked([web], 'pod y/b', 'pod x/a', {}).cases
  t.match(all, { ports: 'everything', missing: [{ kind: 'rule', source: { from: Array } }] })
  t.notOk(JSON.stringify(all?.missing).includes('ports'), 'a rule for all ports has none')
})

t.test('a port is asked for by its name as well, ICMP without any', async (t) => {
  t.match(asked([web], 'pod x/b', 'pod x/a', { PORT: 'http', PROTOCOL: 'TCP' }).cases, [{ ports: 'TCP 80' }])
  t.match(asked([web], 'pod x/b', 'pod x/a', { PROTOCOL: 'ICMP' }).cases, [{ ports: 'ICMP', isAllowed: false }])
  t.throws(() => asked([web], 'pod x/b', 'pod x/a', { PORT: 'dns', PROTOCOL: 'UDP' }), {
    message: 'x/a has no UDP port called dns: it has http (TCP)',
  })
  t.throws(() => asked([web], 'pod x/b', 'node pi-2', { PORT: 'http', PROTOCOL: 'TCP' }), {
    message: 'node pi-2 has no TCP port called http: it has none with a name; write the number',
  })
})

t.test('ends are pods, nodes, addresses in any way of writing them, and the world', async (t) => {
  const host = pod('y/host', { isHostNetwork: true, nodeName: 'pi-2', addresses: ['192.168.1.2'] })
  const change = { pods: [host, pod('y/new', { nodeName: 'pi-2', addresses: [] })] }
  const from = (end: string) => asked([], end, 'pod x/a', HTTP, change).from
  t.same(from('node pi-2'), { name: 'node pi-2', addresses: ['192.168.1.2', 'fd00::1'.replace('1', '2')] })
  t.match(from('pod y/host'), { note: 'has the network of its node pi-2: no policy is about it' })
  t.same(from('address FD42:0::2:0:0:0:10'), {
    name: 'fd42:0:0:2::10',
    addresses: ['fd42:0:0:2::10'],
    note: 'this is x/b',
  })
  t.same(from('address 192.168.1.1'), { name: '192.168.1.1', addresses: ['192.168.1.1'], note: 'this is node pi-1' })
  t.same(from('address ::ffff:10.42.2.10'), {
    name: '10.42.2.10',
    addresses: ['10.42.2.10'],
    note: 'in packets ::ffff:10.42.2.10 is this; this is x/b',
  })
  t.equal(from('world').addresses.length, 2)
  for (const [end, message] of [
    ['pod x/none', 'no pod x/none is known; see: kubectl get pods -A, bramblectl pods'],
    ['node none', 'no node none is known; see: bramblectl nodes'],
    ['pod y/new', 'pod y/new has no address: it has not started, or it has ended'],
  ] as const)
    t.throws(() => from(end), { message })
})

t.test('ends that share no family are told so', async (t) => {
  t.throws(() => asked([], 'address 1.1.1.1', 'address fd42::7'), {
    message: '1.1.1.1 has IPv4 and fd42::7 has IPv6: nothing goes from one to the other',
  })
})

t.test(
  'the own node is known by every address that it has, and other nodes by those that the cluster tells',
  async (t) => {
    const { input } = smallCluster([networkPolicy({})])
    const ownAddresses = new Set(['172.17.0.1'])
    const verdict = (TO: string) => explain({ ...input, ownAddresses }, { FROM: 'address 172.17.0.1', TO })
    const { from, isAllowed, cases } = verdict('pod x/a')
    t.match(from, { note: 'this is node pi-1' })
    t.match([isAllowed, cases], [true, [{ ingress: { kind: 'own-node' } }]])
    t.equal(explain(input, { FROM: 'address 172.17.0.1', TO: 'pod x/a' }).isAllowed, false)
  },
)
