import t from 'tap'
import { parseNetworkPolicyObject } from '../../../agent/cluster/network-policy-object.ts'

const NAMED = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'web', namespace: 'shop' },
}
const parse = (spec: unknown) => parseNetworkPolicyObject({ ...NAMED, spec })
const ALL = { text: '', requirements: [] }

t.test('a whole policy becomes a value, in the order in which it was written', async (t) => {
  const first = {
    from: [
      { podSelector: { matchLabels: { app: 'web' } } },
      { namespaceSelector: {} },
      { ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16', '10.0.0.0/16'] } },
    ],
    ports: [{ port: 80 }, { port: 'dns', protocol: 'UDP' }, { protocol: 'SCTP', port: 7000, endPort: 7999 }, {}],
  }
  const { policy, problems } = parse({ podSelector: {}, policyTypes: ['Ingress', 'Egress'], ingress: [first, {}] })
  t.same(problems, [])
  t.same(policy, {
    kind: 'NetworkPolicy',
    namespace: 'shop',
    name: 'web',
    tier: 'NetworkPolicy',
    priority: 0,
    subject: { namespaces: 'shop', pods: ALL },
    ingress: [
      {
        path: 'spec.ingress[0]',
        action: 'Accept',
        peers: [
          {
            kind: 'pods',
            selection: {
              namespaces: 'shop',
              pods: { text: 'app=web', requirements: [{ key: 'app', operator: 'In', values: ['web'] }] },
            },
          },
          { kind: 'pods', selection: { namespaces: ALL, pods: ALL } },
          { kind: 'ranges', ranges: [{ family: 4, first: 0x0a02_0000n, last: 0x0aff_ffffn }] },
        ],
        ports: [
          { protocol: 'TCP', first: 80, last: 80 },
          { name: 'dns', protocol: 'UDP' },
          { protocol: 'SCTP', first: 7000, last: 7999 },
          { protocol: 'TCP', first: 1, last: 65_535 },
        ],
        source: first,
      },
      { path: 'spec.ingress[1]', action: 'Accept', source: {} },
    ],
    egress: [],
    isAudit: false,
  })
})

t.test('policyTypes say which directions there are; absent ones follow from the rules', async (t) => {
  for (const [spec, directions] of [
    [{}, 'ingress'],
    [{ egress: [] }, 'ingress'],
    [{ egress: [{}] }, 'ingress egress'],
    [{ policyTypes: null, egress: null }, 'ingress'],
    [{ policyTypes: ['Egress'], ingress: [{}] }, 'egress'],
    [{ policyTypes: ['Ingress'], egress: [{}] }, 'ingress'],
    [{ policyTypes: ['Egress', 'Ingress'] }, 'ingress egress'],
  ] as const) {
    const { policy, problems } = parse(spec)
    t.equal(['ingress', 'egress'].filter((direction) => direction in policy).join(' '), directions)
    t.same(problems, [])
  }
})

t.test('a namespace that is not written is default; metadata may have anything else', async (t) => {
  const { policy } = parseNetworkPolicyObject({ ...NAMED, metadata: { name: 'web', uid: 7, managedFields: [] } })
  t.match(policy, { namespace: 'default', subject: { namespaces: 'default' }, ingress: [] })
})

t.test('an annotation puts a policy on audit; another mode is told, and the policy enforced', async (t) => {
  const withMode = (mode: unknown) =>
    parseNetworkPolicyObject({ ...NAMED, metadata: { ...NAMED.metadata, annotations: { 'bramble.dev/mode': mode } } })
  t.match(withMode('audit'), { policy: { isAudit: true }, problems: [] })
  t.match(withMode('Audit'), {
    policy: { isAudit: false },
    problems: [
      {
        field: 'metadata.annotations["bramble.dev/mode"]',
        reason: '"Audit" is no mode: the policy is enforced; write audit, or take it away',
      },
    ],
  })
})

t.test('CIDRs are read as the API server reads them', async (t) => {
  for (const [cidr, ranges] of [
    ['10.1.2.3/8', [{ family: 4, first: 0x0a00_0000n, last: 0x0aff_ffffn }]],
    ['010.001.000.000/16', [{ family: 4, first: 0x0a01_0000n, last: 0x0a01_ffffn }]],
    ['0.0.0.0/0', [{ family: 4, first: 0n, last: 0xffff_ffffn }]],
    ['FD00::1/8', [{ family: 6, first: 0xfdn << 120n, last: (0xfen << 120n) - 1n }]],
    ['::/0', [{ family: 6, first: 0n, last: (1n << 128n) - 1n }]],
  ] as const) {
    const { policy, problems } = parse({ ingress: [{ from: [{ ipBlock: { cidr } }] }] })
    t.same(problems, [], cidr)
    t.same(policy.ingress?.[0]?.peers, [{ kind: 'ranges', ranges }], cidr)
  }
})

const rule = (change: object) => ({ ingress: [change] })
const peer = (change: unknown) => rule({ from: [change] })
const port = (change: unknown) => rule({ ports: [change] })

for (const [what, spec, field, reason] of [
  [
    'an unknown field of the spec',
    { ingres: [] },
    'spec.ingres',
    /^no such field is known: it is passed over; known are/,
  ],
  ['a key that is no name', { '"; flush ruleset': 1 }, String.raw`spec["\"; flush ruleset"]`, /no such field/],
  [
    'an unknown field of a rule',
    rule({ to: [] }),
    'spec.ingress[0].to',
    /nothing is let through by it; known are from or ports$/,
  ],
  ['a rule that is no mapping', { ingress: ['all'] }, 'spec.ingress[0]', /^"all" is no mapping/],
  ['a rule that is nothing', { ingress: [null] }, 'spec.ingress[0]', /^nothing is no mapping/],
  [
    'rules that are no list',
    { ingress: {} },
    'spec.ingress',
    /^a mapping is no list: nothing is let through by it; write a list$/,
  ],
  [
    'a policy type',
    { policyTypes: ['ingress'] },
    'spec.policyTypes[0]',
    /^"ingress" is no policy type: the policy is for both directions/,
  ],
  [
    'policyTypes that are no list',
    { policyTypes: 'Egress' },
    'spec.policyTypes',
    /^"Egress" is no list: the policy is for both/,
  ],
  ['an empty peer', peer({}), 'spec.ingress[0].from[0]', /^it is empty: it matches nobody; write podSelector,/],
  [
    'an unknown field of a peer',
    peer({ podSelector: {}, nodes: {} }),
    'spec.ingress[0].from[0].nodes',
    /no such field/,
  ],
  [
    'ipBlock beside a selector',
    peer({ podSelector: {}, ipBlock: { cidr: '::/0' } }),
    'spec.ingress[0].from[0]',
    /^it has ipBlock beside/,
  ],
  [
    'a CIDR that is none',
    peer({ ipBlock: { cidr: '10.0.0.0' } }),
    'spec.ingress[0].from[0].ipBlock.cidr',
    /^"10\.0\.0\.0" is no CIDR/,
  ],
  [
    'a prefix that is too long',
    peer({ ipBlock: { cidr: '10.0.0.0/33' } }),
    'spec.ingress[0].from[0].ipBlock.cidr',
    /is no CIDR/,
  ],
  [
    'a CIDR with a zone',
    peer({ ipBlock: { cidr: 'fe80::1%eth0/64' } }),
    'spec.ingress[0].from[0].ipBlock.cidr',
    /is no CIDR/,
  ],
  [
    'IPv4 written as IPv6',
    peer({ ipBlock: { cidr: '::ffff:10.0.0.0/104' } }),
    'spec.ingress[0].from[0].ipBlock.cidr',
    /is no CIDR/,
  ],
  ['no CIDR', peer({ ipBlock: {} }), 'spec.ingress[0].from[0].ipBlock.cidr', /^nothing is no CIDR/],
  [
    'an exception outside',
    peer({ ipBlock: { cidr: '10.0.0.0/8', except: ['11.0.0.0/16'] } }),
    'spec.ingress[0].from[0].ipBlock.except[0]',
    /^"11\.0\.0\.0\/16" is not inside of "10\.0\.0\.0\/8": it matches nobody/,
  ],
  [
    'an exception of everything',
    peer({ ipBlock: { cidr: '10.0.0.0/8', except: ['10.0.0.0/8'] } }),
    'spec.ingress[0].from[0].ipBlock.except[0]',
    /is not inside/,
  ],
  [
    'an exception of the other family',
    peer({ ipBlock: { cidr: '10.0.0.0/8', except: ['::/0'] } }),
    'spec.ingress[0].from[0].ipBlock.except[0]',
    /is not inside/,
  ],
  [
    'a protocol',
    port({ protocol: 'tcp', port: 80 }),
    'spec.ingress[0].ports[0].protocol',
    /^"tcp" is no protocol: it matches no port; write TCP, UDP or SCTP$/,
  ],
  [
    'a port in quotes',
    port({ port: '80' }),
    'spec.ingress[0].ports[0].port',
    /^"80" is no port: .*; write the number without quotes$/,
  ],
  ['port 0', port({ port: 0 }), 'spec.ingress[0].ports[0].port', /^0 is no port/],
  ['port 65536', port({ port: 65_536 }), 'spec.ingress[0].ports[0].port', /is no port/],
  ['half a port', port({ port: 80.5 }), 'spec.ingress[0].ports[0].port', /is no port/],
  ['a name that no port has', port({ port: 'Web_Port' }), 'spec.ingress[0].ports[0].port', /is no port/],
  [
    'endPort alone',
    port({ endPort: 80 }),
    'spec.ingress[0].ports[0].endPort',
    /^it stands without a port that is a number/,
  ],
  [
    'endPort beside a name',
    port({ port: 'http', endPort: 80 }),
    'spec.ingress[0].ports[0].endPort',
    /without a port that is a number/,
  ],
  [
    'a range backwards',
    port({ port: 80, endPort: 79 }),
    'spec.ingress[0].ports[0].endPort',
    /^79 is less than port 80/,
  ],
  [
    'a label’s value',
    peer({ podSelector: { matchLabels: { app: true } } }),
    'spec.ingress[0].from[0].podSelector.matchLabels.app',
    /^true is no value of a label/,
  ],
  [
    'a label’s key',
    peer({ podSelector: { matchLabels: { 'a b': 'c' } } }),
    'spec.ingress[0].from[0].podSelector.matchLabels["a b"]',
    /^"a b" is no key/,
  ],
] as const)
  t.test(`told by its field, and lets nothing through: ${what}`, async (t) => {
    const { policy, problems } = parse(spec)
    t.match(problems, [{ field, reason }])
    t.equal(problems.length, 1)
    for (const one of policy.ingress ?? []) t.ok(one.peers?.length === 0 || one.ports?.length === 0)
    t.ok(policy.ingress, 'and the policy isolates')
  })

t.test('what can be done of a rule is done', async (t) => {
  const { policy } = parse(rule({ from: [{}, { podSelector: {} }], ports: [{ port: 'X' }, { port: 80 }] }))
  t.match(policy.ingress, [{ peers: [{ kind: 'pods' }], ports: [{ first: 80 }] }])
  t.equal(policy.ingress?.[0]?.peers?.length, 1)
  t.equal(policy.ingress?.[0]?.ports?.length, 1)
})

t.test('where not even whom it is for can be told, nothing is made of it', async (t) => {
  for (const [change, message] of [
    [
      { kind: 'Policy' },
      'apiVersion "networking.k8s.io/v1", kind "Policy": expected networking.k8s.io/v1, NetworkPolicy',
    ],
    [{ apiVersion: 'extensions/v1beta1' }, /expected networking\.k8s\.io\/v1/],
    [{ metadata: undefined }, 'metadata is nothing; a mapping with the name is expected'],
    [{ metadata: { name: 'a"; drop' } }, /^metadata\.name is "a\\"; drop"; letters/],
    [{ metadata: { name: 'x'.repeat(1e6) } }, /^metadata\.name is "x{57}"\.\.\.; letters/],
    [{ metadata: { name: 'a', namespace: 'b.c' } }, /^metadata\.namespace is "b\.c"; letters/],
    [{ metadata: { name: 'a', namespace: ['b'] } }, /^metadata\.namespace is a list/],
    [{ spec: [] }, 'spec is a list; a mapping is expected'],
    [
      { spec: { podSelector: 'app=web' } },
      /^spec\.podSelector: "app=web" is no mapping: whom the policy is for cannot be told/,
    ],
    [{ spec: { podSelector: { matchLabel: {} } } }, /^spec\.podSelector\.matchLabel: no such field is known/],
    [
      { spec: { podSelector: { matchLabels: { a: ['b'] } } } },
      /^spec\.podSelector\.matchLabels\.a: a list is no value/,
    ],
  ] as const)
    t.throws(() => parseNetworkPolicyObject({ ...NAMED, ...change }), { code: 'POLICY_OBJECT', message })
  for (const noise of [null, undefined, 'policy', 7, [], {}, new Date(), () => {}])
    t.throws(() => parseNetworkPolicyObject(noise), { code: 'POLICY_OBJECT' })
})

t.test('own keys alone count: __proto__ gives nothing', async (t) => {
  const evil =
    '{"podSelector":{},"__proto__":{"ingress":[{}]},"ingress":[{"__proto__":{"from":[]},"from":[{"__proto__":{"podSelector":{}}}]}]}'
  const { policy, problems } = parse(JSON.parse(evil))
  t.match(policy.ingress, [{ peers: [] }])
  t.equal(policy.ingress?.length, 1)
  t.same(
    problems.map(({ field }) => field),
    ['spec.__proto__', 'spec.ingress[0].__proto__'],
  )
  t.same(Object.getPrototypeOf(policy), Object.prototype)
})

t.test('of many problems the first few are told, and how many more there are', async (t) => {
  const { policy, problems } = parse(
    rule({ from: Array.from({ length: 100_000 }, () => ({ ipBlock: { cidr: 'x'.repeat(200) } })) }),
  )
  t.equal(problems.length, 11)
  t.match(problems.at(-1), { field: 'spec', reason: /^99990 more problems/ })
  t.ok(JSON.stringify(problems).length < 5_000)
  t.same(policy.ingress?.[0]?.peers, [])
})

t.test('ten thousand exceptions leave what is between them', async (t) => {
  const except = Array.from({ length: 10_000 }, (_, i) => `10.${i >> 8}.${i & 255}.0/25`)
  const { policy, problems } = parse(peer({ ipBlock: { cidr: '10.0.0.0/8', except } }))
  t.same(problems, [])
  t.match(policy.ingress?.[0]?.peers, [{ ranges: { length: 10_000 } }])
})

t.test('of more rules than the kernel should hold for one policy the first ones hold, and it is told', async (t) => {
  const ingress = Array.from({ length: 1_001 }, (_, i) => ({ ports: [{ port: i + 1 }] }))
  const { policy, problems } = parse({ podSelector: {}, ingress })
  t.equal(policy.ingress?.length, 1_000)
  t.match(problems, [
    {
      field: 'spec.ingress[1000]',
      reason: /^with it the policy has more than 1000 pairs .* nor do those behind it; write/,
    },
  ])
  t.same(parse({ podSelector: {}, ingress: ingress.slice(0, 1_000) }).problems, [])
})

t.test('a small policy that would be many sets in the kernel is held to as many', async (t) => {
  const peers = (count: number) =>
    Array.from({ length: count }, (_, i) => ({ podSelector: { matchLabels: { a: `${i}` } } }))
  const names = (count: number) => Array.from({ length: count }, (_, i) => ({ port: `p${i}` }))
  const numbers = (count: number) => Array.from({ length: count }, (_, i) => ({ port: 2 * i + 1 }))
  const cidrs = (count: number) =>
    Array.from({ length: count }, (_, i) => ({ ipBlock: { cidr: `10.0.${i >> 8}.${i & 255}/32` } }))
  for (const [what, to, ports, isHeld] of [
    ['selectors', peers(1_000), [], true],
    ['more selectors', peers(1_001), [], false],
    ['named ports of each', peers(40), names(25), true],
    ['more of these', peers(41), names(25), false],
    ['numbers of each', peers(100), numbers(100), true],
    ['more of these', peers(101), numbers(100), false],
    ['CIDRs, however many', cidrs(20_000), names(1_000), true],
  ] as const) {
    const { policy, problems } = parse({ podSelector: {}, egress: [{ to, ports }] })
    t.equal(policy.egress?.length, isHeld ? 1 : 0, what)
    t.match(problems, isHeld ? { length: 0 } : [{ field: 'spec.egress[0]' }], what)
  }
  t.equal(
    parse({ podSelector: {}, egress: [{}, { to: peers(1_001) }, {}] }).policy.egress?.length,
    1,
    'those before hold',
  )
  const { policy } = parse({ podSelector: {}, ingress: [{ from: peers(1_000), ports: names(1) }] })
  t.equal(policy.ingress?.length, 1, 'what comes in goes to the own port of that name')
})
