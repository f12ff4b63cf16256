import t from 'tap'
import { type Missing, missingFor } from '../../../agent/policy/missing.ts'
import { ADDRESSES, type Change, clusterPolicy, networkPolicy, pod, smallCluster } from './small-cluster.ts'

type Objects = Parameters<typeof smallCluster>[0]

/** What is missing for a flow of the small cluster, and whether it is allowed once that is there. */
function look(
  policies: Objects,
  change: Change,
  source: string,
  destination: string,
  port = '80/TCP',
  family: 4 | 6 = 4,
) {
  const { evaluate, evaluator } = smallCluster(policies, change)
  const address = (end: string) => ADDRESSES[end]?.[family === 4 ? 0 : 1] ?? end
  const [number, protocol] = port.split('/')
  const flow = {
    source: address(source),
    destination: address(destination),
    protocol: protocol as 'TCP' | 'ICMP',
    destinationPort: Number(number),
  }
  const missing = missingFor(flow, evaluate(source, destination, port, family), evaluator.identities)
  const after = smallCluster(missing.reduce(added, policies), change)
  return { missing, problems: after.problems, after: after.evaluate(source, destination, port, family), cluster: after }
}

function added(policies: Objects, missing: Missing): Objects {
  if (missing.kind === 'policy') return [...policies, missing.object as Objects[number]]
  if (missing.kind !== 'rule') return policies
  return policies.map((object) => {
    const { metadata, spec } = object as unknown as { metadata: { name: string }; spec: Record<string, object[]> }
    if (metadata.name !== missing.policy.name) return object
    const at = Number(/\[(\d+)\]$/.exec(missing.path)?.[1])
    const rules = spec[missing.direction] ?? []
    return { ...object, spec: { ...spec, [missing.direction]: rules.toSpliced(at, 0, missing.rule) } }
  })
}

const isolating = networkPolicy({
  policyTypes: ['Ingress', 'Egress'],
  ingress: [{ from: [{ ipBlock: { cidr: '198.51.100.0/24' } }] }],
})
const byName = (name: string) => ({ matchLabels: { 'kubernetes.io/metadata.name': name } })
const labelled = (name: string) => ({ matchLabels: { pod: name } })
const TCP_80 = [{ protocol: 'TCP', port: 80 }]

for (const [what, source, port, rule] of [
  ['a pod of the same namespace', 'x/b', '80/TCP', { from: [{ podSelector: labelled('b') }], ports: TCP_80 }],
  [
    'a pod of another one',
    'y/b',
    '80/TCP',
    { from: [{ namespaceSelector: byName('y'), podSelector: labelled('b') }], ports: TCP_80 },
  ],
  [
    'the world',
    'world',
    '53/UDP',
    { from: [{ ipBlock: { cidr: '203.0.113.9/32' } }], ports: [{ protocol: 'UDP', port: 53 }] },
  ],
  ['a node', 'pi-2', '80/TCP', { from: [{ ipBlock: { cidr: '192.168.1.2/32' } }], ports: TCP_80 }],
  [
    'a node, by its end of a tunnel',
    '10.42.2.0',
    '80/TCP',
    { from: [{ ipBlock: { cidr: '192.168.1.2/32' } }], ports: TCP_80 },
  ],
  ['ping', 'world', '0/ICMP', { from: [{ ipBlock: { cidr: '203.0.113.9/32' } }] }],
] as const)
  t.test(`what an isolated pod lacks for ${what} to get in is one rule more`, async (t) => {
    const { missing, problems, after, cluster } = look([isolating], {}, source, 'x/a', port)
    t.match(missing, [{ direction: 'ingress', kind: 'rule', policy: { name: 'web' }, path: 'spec.ingress[1]' }])
    t.same(
      missing.map((one) => one.kind === 'rule' && one.rule),
      [rule],
    )
    t.same(problems, [])
    t.equal(after.isAllowed, true)
    t.equal(cluster.evaluate('198.51.100.7', 'x/a', port).isAllowed, true, 'what was let in still is')
    t.equal(cluster.evaluate('203.0.113.8', 'x/a', port).isAllowed, false, 'and nobody else')
    if (port !== '0/ICMP') t.equal(cluster.evaluate(source, 'x/a', '81/TCP').isAllowed, false, 'nor on another port')
  })

t.test('IPv6 has its own prefix', async (t) => {
  const { missing, after } = look([isolating], {}, 'x/a', 'world', '443/TCP', 6)
  t.match(missing, [
    { direction: 'egress', path: 'spec.egress[0]', rule: { to: [{ ipBlock: { cidr: '2001:db8::9/128' } }] } },
  ])
  t.equal(after.isAllowed, true)
})

t.test('where both directions drop it, something is missing in each', async (t) => {
  const to = { ...networkPolicy({ podSelector: {} }, 'in'), metadata: { namespace: 'y', name: 'in' } }
  const { missing, after } = look([isolating, to], {}, 'x/a', 'y/a')
  t.match(missing, [
    { direction: 'ingress', kind: 'policy', object: { metadata: { namespace: 'y' } } },
    { direction: 'egress', policy: { name: 'web' } },
  ])
  t.equal(after.isAllowed, true)
})

t.test('a policy for all pods of a namespace gets no rule for one of them: that is a policy of its own', async (t) => {
  const denyAll = {
    ...networkPolicy({ podSelector: {} }, 'deny-all'),
    metadata: { namespace: 'x', name: 'a-deny-all' },
  }
  const [narrow] = look([denyAll, isolating], {}, 'y/a', 'x/a').missing
  t.match(narrow, { kind: 'rule', policy: { name: 'web' } })
  const { missing, after } = look([denyAll], {}, 'y/a', 'x/a')
  t.match(missing, [{ kind: 'policy', object: { spec: { podSelector: { matchLabels: Object } } } }])
  t.equal(after.isAllowed, true)
})

t.test('labels that controllers write with each roll-out are no part of a rule', async (t) => {
  const pods = [pod('x/b', { labels: { app: 'shop', 'pod-template-hash': '5f2c9a' } })]
  t.match(look([isolating], { pods }, 'x/b', 'x/a').missing, [
    { rule: { from: [{ podSelector: { matchLabels: { app: 'shop' } } }] } },
  ])
  const bare = look([isolating], { pods: [pod('x/b', { labels: {} })] }, 'x/b', 'x/a')
  t.same(
    bare.missing.map((one) => one.kind === 'rule' && one.rule),
    [{ from: [{ podSelector: {} }], ports: TCP_80 }],
  )
  t.equal(bare.after.isAllowed, true)
})

for (const tier of ['Admin', 'Baseline'])
  t.test(`what a Deny of the tier ${tier} drops needs an Accept in front of it`, async (t) => {
    const rules = (peers: string) => [
      { action: 'Accept', [peers]: [{ namespaces: byName('z') }] },
      { action: 'Deny', [peers]: [{ namespaces: {} }, ...(peers === 'to' ? [{ networks: ['203.0.113.0/24'] }] : [])] },
    ]
    const policies = [clusterPolicy({ tier, ingress: rules('from'), egress: rules('to') })]
    const { missing, problems, after, cluster } = look(policies, {}, 'x/b', 'y/a', '53/UDP')
    t.match(missing, [
      { direction: 'ingress', kind: 'rule', policy: { name: 'all' }, path: 'spec.ingress[1]' },
      {
        direction: 'egress',
        path: 'spec.egress[1]',
        rule: {
          action: 'Accept',
          to: [{ pods: { namespaceSelector: byName('y'), podSelector: labelled('a') } }],
          protocols: [{ udp: { destinationPort: { number: 53 } } }],
        },
      },
    ])
    t.same(problems, [])
    t.equal(after.isAllowed, true)
    t.equal(cluster.evaluate('x/b', 'y/a', '54/UDP').isAllowed, false)
    const world = look(policies, {}, 'x/b', 'world', '0/ICMP')
    t.same(
      world.missing.map((one) => one.kind === 'rule' && one.rule),
      [{ action: 'Accept', to: [{ networks: ['203.0.113.9/32'] }] }],
    )
    t.equal(world.after.isAllowed, true)
  })

t.test('a rule that denies everything since it cannot be done is to be corrected', async (t) => {
  const broken = clusterPolicy({ egress: [{ action: 'Deny', to: [{ domainNames: ['example.com'] }] }] })
  t.match(look([broken], {}, 'x/a', 'world').missing, [
    { direction: 'egress', kind: 'correction', policy: { name: 'all' }, path: 'spec.egress[0]' },
  ])
})

t.test('where all is closed and no policy isolates the pod, a policy is missing', async (t) => {
  const { missing, problems, after } = look([], { mode: 'always' }, 'world', 'x/a')
  t.same(missing, [
    {
      direction: 'ingress',
      kind: 'policy',
      object: {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { namespace: 'x', name: 'ingress-a' },
        spec: {
          podSelector: labelled('a'),
          policyTypes: ['Ingress'],
          ingress: [{ from: [{ ipBlock: { cidr: '203.0.113.9/32' } }], ports: TCP_80 }],
        },
      },
    },
  ])
  t.same(problems, [])
  t.equal(after.isAllowed, true)
})

t.test(
  'of a pod that is not known nothing can be said, and of a flow that is allowed nothing is missing',
  async (t) => {
    const local = [
      { pod: 'x/new', uid: 'new', link: 'brm of new', mac: '', addresses: ['10.42.1.11'], isUnknown: true },
    ]
    t.same(look([], { local }, 'world', '10.42.1.11').missing, [{ direction: 'ingress', kind: 'nothing' }])
    t.same(look([], {}, 'world', 'x/a').missing, [])
  },
)
