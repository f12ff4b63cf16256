import t from 'tap'
import { parseClusterNetworkPolicyObject } from '../../../agent/cluster/cluster-network-policy-object.ts'

const KIND = {
  apiVersion: 'policy.networking.k8s.io/v1alpha2',
  kind: 'ClusterNetworkPolicy',
  metadata: { name: 'guard' },
}
const SPEC = { tier: 'Admin', priority: 7, subject: { namespaces: {} } }
const parse = (spec: object) => parseClusterNetworkPolicyObject({ ...KIND, spec: { ...SPEC, ...spec } })
const ALL = { text: '', requirements: [] }
const ALL_PODS = { kind: 'pods', selection: { namespaces: ALL, pods: ALL } }

t.test('a whole policy becomes a value, in the order in which it was written', async (t) => {
  const rule = {
    name: 'out',
    action: 'Accept',
    to: [
      { namespaces: {} },
      { pods: { namespaceSelector: { matchLabels: { ns: 'y' } }, podSelector: {} } },
      { pods: { podSelector: {} } },
      { nodes: { matchExpressions: [{ key: 'edge', operator: 'Exists' }] } },
      { networks: ['10.1.0.0/16', '::/0', '10.0.0.0/16'] },
    ],
    protocols: [
      { tcp: { destinationPort: { number: 80 } } },
      { udp: { destinationPort: { range: { start: 1, end: 9 } } } },
      { sctp: { destinationPort: { number: 65_535 } } },
    ],
  }
  const named = { action: 'Pass', from: [{ namespaces: {} }], protocols: [{ destinationNamedPort: 'http' }] }
  const { policy, problems } = parse({ ingress: [named], egress: [rule] })
  t.same(problems, [])
  t.same(policy, {
    kind: 'ClusterNetworkPolicy',
    name: 'guard',
    tier: 'Admin',
    priority: 7,
    subject: { namespaces: ALL, pods: ALL },
    ingress: [{ path: 'spec.ingress[0]', action: 'Pass', peers: [ALL_PODS], ports: [{ name: 'http' }], source: named }],
    egress: [
      {
        path: 'spec.egress[0]',
        name: 'out',
        action: 'Accept',
        peers: [
          ALL_PODS,
          {
            kind: 'pods',
            selection: {
              namespaces: { text: 'ns=y', requirements: [{ key: 'ns', operator: 'In', values: ['y'] }] },
              pods: ALL,
            },
          },
          ALL_PODS,
          { kind: 'nodes', nodes: { text: 'edge', requirements: [{ key: 'edge', operator: 'Exists', values: [] }] } },
          {
            kind: 'ranges',
            ranges: [
              { family: 4, first: 0x0a00_0000n, last: 0x0a01_ffffn },
              { family: 6, first: 0n, last: (1n << 128n) - 1n },
            ],
          },
        ],
        ports: [
          { protocol: 'TCP', first: 80, last: 80 },
          { protocol: 'UDP', first: 1, last: 9 },
          { protocol: 'SCTP', first: 65_535, last: 65_535 },
        ],
        source: rule,
      },
    ],
    isAudit: false,
  })
})

t.test('a direction that is absent is not spoken of', async (t) => {
  const { policy } = parse({ tier: 'Baseline', priority: 0 })
  t.match(policy, { tier: 'Baseline', priority: 0 })
  t.notOk('ingress' in policy || 'egress' in policy)
})

const NETWORKS = [{ networks: ['10.0.0.0/8'] }]
const rule = (change: object) => ({ to: NETWORKS, ...change })
const port = (destinationPort: unknown) => rule({ protocols: [{ tcp: { destinationPort } }] })
const AT = 'spec.egress[0]'

for (const [what, change, field, reason] of [
  [
    'domain names',
    { to: [{ domainNames: ['example.com'] }] },
    `${AT}.to[0].domainNames`,
    /^names are not looked up: .*; write their networks$/,
  ],
  [
    'a peer that is empty: of a newer version of the API',
    { to: [{}] },
    `${AT}.to[0]`,
    /^it is empty: .*; write one of namespaces,/,
  ],
  ['a peer of an unknown kind', { to: [{ services: {} }] }, `${AT}.to[0].services`, /^no such field is known/],
  ['a peer of two kinds', { to: [{ namespaces: {}, nodes: {} }] }, `${AT}.to[0]`, /^it has namespaces and nodes/],
  ['a peer that is no mapping', { to: ['all'] }, `${AT}.to[0]`, /^"all" is no mapping/],
  ['no peers', { to: undefined }, `${AT}.to`, /^it is empty/],
  ['an empty list of peers', { to: [] }, `${AT}.to`, /^it is empty/],
  ['peers that are no list', { to: {} }, `${AT}.to`, /^a mapping is no list/],
  ['peers of the other direction', { from: [] }, `${AT}.from`, /^no such field is known/],
  [
    'one bad network of many',
    { to: [{ networks: ['10.0.0.0/8', '10.0.0.0/99'] }] },
    `${AT}.to[0].networks[1]`,
    /is no CIDR/,
  ],
  ['no networks', { to: [{ networks: [] }] }, `${AT}.to[0].networks`, /^it is empty/],
  ['a selector', { to: [{ nodes: { matchLabels: { a: 7 } } }] }, `${AT}.to[0].nodes.matchLabels.a`, /^7 is no value/],
  [
    'pods without their selector',
    { to: [{ pods: { namespaceSelector: {} } }] },
    `${AT}.to[0].pods.podSelector`,
    /^it is missing: .*; write \{\} for all pods/,
  ],
  ['no protocols', rule({ protocols: [] }), `${AT}.protocols`, /^it is empty/],
  ['a protocol that is empty', rule({ protocols: [{}] }), `${AT}.protocols[0]`, /^it is empty/],
  ['an unknown protocol', rule({ protocols: [{ icmp: {} }] }), `${AT}.protocols[0].icmp`, /^no such field/],
  ['a protocol without any attribute', rule({ protocols: [{ tcp: {} }] }), `${AT}.protocols[0].tcp`, /^it is empty/],
  [
    'two protocols in one entry',
    rule({ protocols: [{ tcp: {}, udp: {} }] }),
    `${AT}.protocols[0]`,
    /^it has tcp and udp/,
  ],
  ['a port of no number', port({ number: '80' }), `${AT}.protocols[0].tcp.destinationPort.number`, /^"80" is no port/],
  ['port 0', port({ number: 0 }), `${AT}.protocols[0].tcp.destinationPort.number`, /^0 is no port/],
  [
    'a range of one',
    port({ range: { start: 80, end: 80 } }),
    `${AT}.protocols[0].tcp.destinationPort.range`,
    /^80 is not less than 80/,
  ],
  ['half a range', port({ range: { start: 80 } }), `${AT}.protocols[0].tcp.destinationPort.range.end`, /is no port/],
  [
    'a number and a range',
    port({ number: 1, range: { start: 1, end: 2 } }),
    `${AT}.protocols[0].tcp.destinationPort`,
    /^it has number and range/,
  ],
  [
    'a name of no port',
    { to: [{ namespaces: {} }], protocols: [{ destinationNamedPort: 'Web' }] },
    `${AT}.protocols[0].destinationNamedPort`,
    /^"Web" is no name/,
  ],
  [
    'a named port of networks',
    rule({ protocols: [{ destinationNamedPort: 'web' }] }),
    `${AT}.protocols`,
    /^destinationNamedPort stands beside networks or nodes/,
  ],
  ['an unknown field', rule({ ports: [] }), `${AT}.ports`, /^no such field is known/],
] as const)
  t.test(`a rule fails closed as a whole, and is told by its field: ${what}`, async (t) => {
    for (const [action, closed, word] of [
      ['Accept', { action: 'Accept', peers: [] }, 'the rule lets nothing through'],
      ['Deny', { action: 'Deny' }, 'the rule denies everything'],
      ['Pass', { action: 'Deny' }, 'the rule denies everything'],
    ] as const) {
      const source = { action, to: NETWORKS, ...change }
      const { policy, problems } = parse({ egress: [source, { action: 'Deny', to: NETWORKS }] })
      t.same(policy.egress?.[0], { path: AT, ...closed, source })
      t.match(policy.egress?.[1], { action: 'Deny', peers: [{ kind: 'ranges' }] }, 'the next one is done')
      t.match(problems, [{ field, reason }])
      t.match(problems, [{ reason: new RegExp(word) }])
      t.equal(problems.length, 1)
    }
  })

t.test('what comes in may be from pods alone', async (t) => {
  for (const key of ['nodes', 'networks', 'domainNames']) {
    const { policy, problems } = parse({ ingress: [{ action: 'Accept', from: [{ [key]: {} }] }] })
    t.match(problems, [{ field: `spec.ingress[0].from[0].${key}`, reason: /known are namespaces or pods$/ }])
    t.same(policy.ingress?.[0]?.peers, [])
  }
})

t.test('what is no rule, or has no action that is known, denies everything', async (t) => {
  for (const [ingress, paths] of [
    [{}, ['spec.ingress']],
    [[null], ['spec.ingress[0]']],
    [['all'], ['spec.ingress[0]']],
    [[{ action: 'accept', from: [{ namespaces: {} }] }], ['spec.ingress[0]']],
    [[{ from: [{ namespaces: {} }] }], ['spec.ingress[0]']],
  ] as const) {
    const { policy, problems } = parse({ ingress })
    t.same(
      policy.ingress?.map(({ path }) => path),
      paths,
    )
    for (const one of policy.ingress ?? []) t.match(one, { action: 'Deny', peers: undefined, ports: undefined })
    t.ok(problems.length > 0)
  }
})

t.test('of rules that are too many sets for the kernel the first ones hold, the others fail closed', async (t) => {
  const pods = Array.from({ length: 500 }, (_, i) => ({
    pods: { namespaceSelector: {}, podSelector: { matchLabels: { a: `${i}` } } },
  }))
  const rules = ['Accept', 'Deny', 'Accept', 'Pass', 'Deny'].map((action) => ({ action, from: pods }))
  const { policy, problems } = parse({ ingress: rules })
  t.same(
    policy.ingress?.map(({ action, peers }) => `${action} ${peers?.length ?? 'everybody'}`),
    ['Accept 500', 'Deny 500', 'Accept 0', 'Deny everybody', 'Deny everybody'],
  )
  t.match(problems, [
    { field: 'spec.ingress[2]', reason: /more than 1000 pairs of a peer and a port: it and those behind/ },
  ])
  t.equal(problems.length, 1)
})

t.test('a name that is too long is left out; the rule is done', async (t) => {
  const { policy, problems } = parse({
    ingress: [{ name: 'x'.repeat(101), action: 'Deny', from: [{ namespaces: {} }] }],
  })
  t.match(policy.ingress, [{ action: 'Deny', peers: [ALL_PODS], name: undefined }])
  t.match(problems, [{ field: 'spec.ingress[0].name', reason: /the rule has no name; write at most 100 characters/ }])
})

t.test('where its subject or its place among the others cannot be told, nothing is made of it', async (t) => {
  for (const [spec, message] of [
    [undefined, /^spec\.subject: /],
    [
      { ...SPEC, subject: {} },
      'spec.subject: it is empty: whom the policy is for cannot be told; write one of namespaces or pods',
    ],
    [{ ...SPEC, subject: { namespaces: {}, pods: { podSelector: {} } } }, /^spec\.subject: it has namespaces and pods/],
    [{ ...SPEC, subject: { serviceAccounts: {} } }, /^spec\.subject\.serviceAccounts: no such field/],
    [{ ...SPEC, subject: { pods: {} } }, /^spec\.subject\.pods\.podSelector: it is missing/],
    [{ ...SPEC, tier: 'NetworkPolicy' }, 'spec.tier is "NetworkPolicy"; Admin or Baseline is expected'],
    [{ ...SPEC, priority: 1001 }, 'spec.priority is 1001; a number from 0 to 1000 is expected'],
    [{ ...SPEC, priority: '7' }, /^spec\.priority is "7"/],
    [{ ...SPEC, priority: undefined }, /^spec\.priority is nothing/],
  ] as const)
    t.throws(() => parseClusterNetworkPolicyObject({ ...KIND, spec }), { code: 'POLICY_OBJECT', message })
  for (const noise of [null, 7, [], { ...KIND, apiVersion: 'policy.networking.k8s.io/v1alpha1' }])
    t.throws(() => parseClusterNetworkPolicyObject(noise), { code: 'POLICY_OBJECT' })
})
