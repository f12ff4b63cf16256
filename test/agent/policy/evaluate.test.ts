/** What a NetworkPolicy means, from the text of its API: kubernetes.io/docs/concepts/services-networking/network-policies. */
import t from 'tap'
import { networkPolicy, pod, smallCluster, whoIsReached, whoReaches } from './small-cluster.ts'

const EVERYBODY = 'x/a x/b y/a y/b pi-1 pi-2 world'
/** A pod of pi-1 that nobody may reach: itself and its node do. */
const CLOSED = 'x/a pi-1'

t.test('where no policy selects a pod everybody reaches it, and it everybody', async (t) => {
  const cluster = smallCluster([])
  t.equal(whoReaches(cluster, 'x/a'), EVERYBODY)
  t.equal(whoIsReached(cluster, 'x/a'), EVERYBODY)
  t.match(cluster.evaluate('x/b', 'x/a').ingress, {
    because: { kind: 'default' },
    passes: { length: 0 },
    audited: { length: 0 },
  })
  t.same(cluster.evaluate('world', 'x/a').egress.because, { kind: 'no-pod' })
})

for (const [what, spec, reaching] of [
  ['no ingress at all isolates', {}, CLOSED],
  ['ingress: [] isolates', { ingress: [] }, CLOSED],
  ['ingress: [{}] lets everybody in', { ingress: [{}] }, EVERYBODY],
  ['an empty from lets everybody in', { ingress: [{ from: [] }] }, EVERYBODY],
  ['podSelector alone means pods of the own namespace', { ingress: [{ from: [{ podSelector: {} }] }] }, 'x/a x/b pi-1'],
  [
    'namespaceSelector alone means all pods of these namespaces',
    { ingress: [{ from: [{ namespaceSelector: { matchLabels: { ns: 'y' } } }] }] },
    'x/a y/a y/b pi-1',
  ],
  [
    'namespaceSelector: {} means all pods, and no node',
    { ingress: [{ from: [{ namespaceSelector: {} }] }] },
    'x/a x/b y/a y/b pi-1',
  ],
  [
    'both in one entry: the pods that fit in the namespaces that fit',
    {
      ingress: [
        { from: [{ namespaceSelector: { matchLabels: { ns: 'y' } }, podSelector: { matchLabels: { pod: 'b' } } }] },
      ],
    },
    'x/a y/b pi-1',
  ],
  [
    'in two entries: either',
    {
      ingress: [
        { from: [{ namespaceSelector: { matchLabels: { ns: 'y' } } }, { podSelector: { matchLabels: { pod: 'b' } } }] },
      ],
    },
    'x/a x/b y/a y/b pi-1',
  ],
  [
    'rules add up',
    { ingress: [{ from: [{ podSelector: {} }] }, { from: [{ ipBlock: { cidr: '203.0.113.0/24' } }] }] },
    'x/a x/b pi-1 world',
  ],
  [
    'except limits its own ipBlock',
    { ingress: [{ from: [{ ipBlock: { cidr: '0.0.0.0/0', except: ['203.0.113.0/24'] } }] }] },
    'x/a x/b y/a y/b pi-1 pi-2',
  ],
  [
    'and no other one',
    {
      ingress: [
        {
          from: [
            { ipBlock: { cidr: '203.0.0.0/16', except: ['203.0.113.0/24'] } },
            { ipBlock: { cidr: '203.0.113.8/29' } },
          ],
        },
      ],
    },
    'x/a pi-1 world',
  ],
  ['policyTypes: [Egress] says nothing of what comes in', { policyTypes: ['Egress'] }, EVERYBODY],
  [
    'policyTypes: [Egress] says nothing even where there are rules',
    { policyTypes: ['Egress'], ingress: [] },
    EVERYBODY,
  ],
  ['an empty policyTypes is an absent one', { policyTypes: [] }, CLOSED],
] as const)
  t.test(`ingress: ${what}`, async (t) => {
    const cluster = smallCluster([networkPolicy(spec)])
    t.same(cluster.problems, [])
    t.equal(whoReaches(cluster, 'x/a'), reaching)
    t.ok(cluster.evaluate('world', 'x/b').isAllowed, 'a pod that is not selected stays open')
  })

for (const [what, spec, reached] of [
  ['no rules for it and no policyTypes: open', { ingress: [] }, EVERYBODY],
  ['egress: [] without policyTypes: open, as no rule speaks of it', { egress: [] }, EVERYBODY],
  ['rules for it isolate without policyTypes', { egress: [{ to: [{ podSelector: {} }] }] }, 'x/a x/b pi-1'],
  ['policyTypes: [Egress] and no rules closes', { policyTypes: ['Egress'] }, CLOSED],
  ['to the world alone', { egress: [{ to: [{ ipBlock: { cidr: '203.0.113.0/24' } }] }] }, 'x/a pi-1 world'],
] as const)
  t.test(`egress: ${what}`, async (t) => t.equal(whoIsReached(smallCluster([networkPolicy(spec)]), 'x/a'), reached))

for (const [what, ports, flows] of [
  ['no protocol is TCP', [{ port: 80 }], { '80/TCP': true, '80/UDP': false, '80/SCTP': false, '81/TCP': false }],
  ['UDP', [{ port: 80, protocol: 'UDP' }], { '80/TCP': false, '80/UDP': true }],
  ['SCTP', [{ port: 80, protocol: 'SCTP' }], { '80/TCP': false, '80/SCTP': true }],
  ['no port is all of the protocol', [{ protocol: 'UDP' }], { '1/UDP': true, '65535/UDP': true, '1/TCP': false }],
  [
    'endPort ends a range',
    [{ port: 80, endPort: 82 }],
    { '79/TCP': false, '80/TCP': true, '82/TCP': true, '83/TCP': false },
  ],
  ['a name is the pod’s own port', [{ port: 'http' }], { '80/TCP': true, '81/TCP': false, '80/UDP': false }],
  ['a name of which the pod has no port', [{ port: 'dns' }], { '80/TCP': false }],
  ['a name of another protocol', [{ port: 'http', protocol: 'UDP' }], { '80/TCP': false, '80/UDP': false }],
  [
    'several: any of them',
    [{ port: 80 }, { port: 53, protocol: 'UDP' }],
    { '80/TCP': true, '53/UDP': true, '53/TCP': false },
  ],
  ['none: everything', [], { '80/TCP': true, '1/UDP': true, '0/ICMP': true }],
] as const)
  for (const direction of ['ingress', 'egress'] as const)
    t.test(`ports of ${direction}: ${what}`, async (t) => {
      const cluster = smallCluster([networkPolicy({ policyTypes: ['Ingress', 'Egress'], [direction]: [{ ports }] })])
      const [source, destination] = direction === 'ingress' ? (['x/b', 'x/a'] as const) : (['x/a', 'x/b'] as const)
      for (const [port, isAllowed] of Object.entries(flows))
        for (const family of [4, 6] as const)
          t.equal(cluster.evaluate(source, destination, port, family).isAllowed, isAllowed, port)
    })

t.test('a flow is allowed when its source may send it and its destination may get it', async (t) => {
  const from = networkPolicy({ policyTypes: ['Egress'], egress: [{ to: [{ namespaceSelector: {} }] }] }, 'out')
  const to = { ...networkPolicy({ ingress: [] }, 'in'), metadata: { namespace: 'y', name: 'in' } }
  const verdict = smallCluster([from, to]).evaluate('x/a', 'y/a')
  t.match(verdict, { isAllowed: false, egress: { isAllowed: true }, ingress: { isAllowed: false } })
  t.match(verdict.egress.because, { kind: 'rule', policy: { name: 'out' }, rule: { path: 'spec.egress[0]' } })
  t.match(verdict.ingress, {
    pod: { key: 'y/a' },
    because: { kind: 'isolated', policies: [{ namespace: 'y', name: 'in' }] },
  })
})

t.test('policies that select one pod add up', async (t) => {
  const one = networkPolicy({ ingress: [{ from: [{ podSelector: {} }] }] }, 'one')
  const two = networkPolicy({ ingress: [{ from: [{ ipBlock: { cidr: '203.0.113.9/32' } }] }] }, 'two')
  const cluster = smallCluster([one, two])
  t.equal(whoReaches(cluster, 'x/a'), 'x/a x/b pi-1 world')
  t.match(cluster.evaluate('world', 'x/a').ingress.because, { kind: 'rule', policy: { name: 'two' } })
  t.match(cluster.evaluate('y/b', 'x/a').ingress.because, { policies: [{ name: 'one' }, { name: 'two' }] })
})

for (const [operator, requirement, reaching] of [
  ['In', { operator: 'In', values: ['blue', 'red'] }, 'x/b'],
  ['In, another value', { operator: 'In', values: ['red'] }, ''],
  ['NotIn', { operator: 'NotIn', values: ['blue'] }, 'x/c'],
  ['Exists', { operator: 'Exists' }, 'x/b'],
  ['DoesNotExist', { operator: 'DoesNotExist' }, 'x/c'],
] as const)
  t.test(`a selector with ${operator}; NotIn and DoesNotExist mean pods without the label, too`, async (t) => {
    const pods = [pod('x/b', { labels: { colour: 'blue' } }), pod('x/c', { labels: {}, addresses: ['10.42.2.30'] })]
    const podSelector = { matchExpressions: [{ key: 'colour', ...requirement }] }
    const cluster = smallCluster([networkPolicy({ ingress: [{ from: [{ podSelector }] }] })], { pods })
    const sources = ['x/b', '10.42.2.30']
    t.equal(whoReaches(cluster, 'x/a', { sources }).replace('10.42.2.30', 'x/c'), reaching)
  })

t.test('a label called __proto__ or constructor is a label like any other, which no pod has by itself', async (t) => {
  const selecting = (key: string) => ({ podSelector: { matchExpressions: [{ key, operator: 'Exists' }] } })
  const cluster = smallCluster([
    networkPolicy({ ingress: [{ from: [selecting('constructor'), selecting('toString')] }] }),
  ])
  t.equal(whoReaches(cluster, 'x/a'), CLOSED)
})

t.test('a policy is for the pods of its own namespace', async (t) => {
  const cluster = smallCluster([networkPolicy({ podSelector: {} })])
  t.equal(whoReaches(cluster, 'y/a'), EVERYBODY)
  t.equal(whoReaches(cluster, 'x/b'), 'x/b pi-2', 'of each pod its own node')
})
