/** docs/decisions/0013-what-a-policy-means.md, line by line. */
import t from 'tap'
import {
  clusterPolicy,
  local,
  networkPolicy,
  node,
  onAudit,
  pod,
  smallCluster,
  whoIsReached,
  whoReaches,
} from './small-cluster.ts'

const EVERYBODY = 'x/a x/b y/a y/b pi-1 pi-2 world'
const CLOSED = 'x/a pi-1'
const ALL_PODS = [{ namespaces: {} }]
const Y = [{ namespaces: { matchLabels: { ns: 'y' } } }]
const deny = { action: 'Deny', from: ALL_PODS }
const accept = { action: 'Accept', from: ALL_PODS }
const pass = { action: 'Pass', from: ALL_PODS }
const baseline = (spec: object, name = 'base') => clusterPolicy({ tier: 'Baseline', ...spec }, name)
const PODS_AND_NODE = 'x/a x/b y/a y/b pi-1'

t.test('order of tiers: Admin, then NetworkPolicy, then Baseline, then open', async (t) => {
  const isolating = networkPolicy({ ingress: [] })
  const opening = networkPolicy({ ingress: [{}] })
  for (const [policies, isAllowed, decider] of [
    [[clusterPolicy({ ingress: [deny] }), opening], false, 'all'],
    [[clusterPolicy({ ingress: [accept] }), isolating], true, 'all'],
    [[clusterPolicy({ ingress: [pass] }), isolating], false, undefined],
    [[clusterPolicy({ ingress: [pass] }), opening], true, 'web'],
    [[clusterPolicy({ ingress: [pass, deny] })], true, undefined],
    [[clusterPolicy({ ingress: [pass] }), baseline({ ingress: [deny] })], false, 'base'],
    [[opening, baseline({ ingress: [deny] })], true, 'web'],
    [[baseline({ ingress: [deny] })], false, 'base'],
    [[baseline({ ingress: [pass] })], true, undefined],
    [[baseline({ ingress: [accept] })], true, 'base'],
  ] as const) {
    const { ingress } = smallCluster(policies).evaluate('y/b', 'x/a')
    t.equal(ingress.isAllowed, isAllowed)
    t.equal(ingress.because.kind === 'rule' ? ingress.because.policy.name : undefined, decider)
  }
})

t.test('order of tiers: a pod that any NetworkPolicy isolates never reaches Baseline, in this direction', async (t) => {
  const cluster = smallCluster([
    networkPolicy({ ingress: [] }),
    baseline({ ingress: [accept], egress: [{ action: 'Deny', to: ALL_PODS }] }),
  ])
  t.match(cluster.evaluate('y/b', 'x/a').ingress, { isAllowed: false, because: { kind: 'isolated' } })
  t.match(cluster.evaluate('x/a', 'y/b').egress.because, { kind: 'rule', policy: { name: 'base' } })
})

t.test('order of tiers: in a tier the lowest priority decides first, and in a policy the first rule', async (t) => {
  const later = clusterPolicy({ priority: 20, ingress: [deny] }, 'a')
  const first = clusterPolicy({ priority: 3, ingress: [{ ...accept, name: 'first' }, deny] }, 'b')
  for (const policies of [
    [later, first],
    [first, later],
  ])
    t.match(smallCluster(policies).evaluate('y/b', 'x/a').ingress.because, {
      policy: { name: 'b' },
      rule: { name: 'first' },
    })
})

t.test('order of tiers: a Pass is told along with what decides after it', async (t) => {
  const { ingress } = smallCluster([clusterPolicy({ ingress: [pass] }), networkPolicy({ ingress: [{}] })]).evaluate(
    'y/b',
    'x/a',
  )
  t.match(ingress, {
    passes: [{ policy: { name: 'all' }, rule: { path: 'spec.ingress[0]' } }],
    because: { policy: { name: 'web' } },
  })
})

t.test('two ClusterNetworkPolicies of one priority: the first by name', async (t) => {
  const [a, b] = [clusterPolicy({ ingress: [deny] }, 'a'), clusterPolicy({ ingress: [accept] }, 'b')]
  for (const policies of [
    [a, b],
    [b, a],
  ])
    t.notOk(smallCluster(policies).evaluate('y/b', 'x/a').isAllowed)
})

t.test('pods with the network of their node: no selector means them, neither as subject nor as peer', async (t) => {
  const pods = [pod('y/host', { isHostNetwork: true, nodeName: 'pi-2', addresses: ['192.168.1.2'] })]
  const peer = smallCluster([networkPolicy({ ingress: [{ from: [{ namespaceSelector: {} }] }] })], { pods })
  t.equal(whoReaches(peer, 'x/a'), PODS_AND_NODE)
  const subject = smallCluster([clusterPolicy({ ingress: [deny] })], { pods })
  t.match(subject.evaluate('x/a', 'pi-2').ingress, { isAllowed: true, because: { kind: 'no-pod' } })
})

t.test('pods with the network of their node: their named ports are no ports of the node', async (t) => {
  const pods = [pod('y/host', { isHostNetwork: true, nodeName: 'pi-2', addresses: ['192.168.1.2'] })]
  const cluster = smallCluster([networkPolicy({ policyTypes: ['Egress'], egress: [{ ports: [{ port: 'http' }] }] })], {
    pods,
  })
  t.equal(whoIsReached(cluster, 'x/a'), PODS_AND_NODE)
})

t.test('a pod and its own node always reach each other, whatever any policy says', async (t) => {
  const everywhere = { action: 'Deny', to: [{ networks: ['0.0.0.0/0', '::/0'] }] }
  const cluster = smallCluster(
    [clusterPolicy({ ingress: [deny], egress: [everywhere] }), networkPolicy({ ingress: [] })],
    {
      mode: 'always',
    },
  )
  for (const family of [4, 6] as const) {
    t.equal(whoReaches(cluster, 'x/a', { family, sources: ['pi-1', 'pi-2'] }), 'pi-1')
    t.equal(whoIsReached(cluster, 'x/a', { family, destinations: ['pi-1', 'pi-2'] }), 'pi-1')
    t.equal(whoIsReached(cluster, 'x/b', { family, destinations: ['pi-1', 'pi-2'] }), 'pi-2')
  }
  t.match(cluster.evaluate('pi-1', 'x/a').ingress.because, { kind: 'own-node' })
  t.ok(cluster.evaluate('10.42.1.0', 'x/a').isAllowed, 'by its end of the tunnel, too')
})

t.test('a pod and itself: always', async (t) => {
  const cluster = smallCluster([clusterPolicy({ ingress: [deny], egress: [{ action: 'Deny', to: ALL_PODS }] })])
  for (const self of ['x/a', 'x/b']) {
    t.ok(cluster.evaluate(self, self).isAllowed)
    t.match(cluster.evaluate(self, self, '80/TCP', 6).egress.because, { kind: 'itself' })
  }
})

t.test('addresses of a node, for nodes: all that it has, and those of its tunnels', async (t) => {
  const nodes = [node(2, { otherAddresses: ['198.51.100.2', 'fd00::22'] })]
  const to = [{ nodes: { matchLabels: { node: 'pi-2' } } }]
  const cluster = smallCluster([clusterPolicy({ egress: [{ action: 'Deny', to }] })], { nodes })
  for (const address of ['192.168.1.2', 'fd00::2', '198.51.100.2', 'fd00::22', '10.42.2.0', 'fd42:0:0:2::'])
    t.notOk(cluster.evaluate('x/a', address, '80/TCP', address.includes(':') ? 6 : 4).isAllowed, address)
  for (const address of ['192.168.1.3', '10.42.2.1']) t.ok(cluster.evaluate('x/a', address).isAllowed, address)
})

t.test('addresses of a node, for ipBlock: those of its tunnels, where another one of it is meant', async (t) => {
  const blocks = (cidr: string, except: string[] = []) =>
    smallCluster([networkPolicy({ ingress: [{ from: [{ ipBlock: { cidr, except } }] }] })])
  t.ok(blocks('192.168.1.2/32').evaluate('10.42.2.0', 'x/a').isAllowed)
  t.ok(blocks('192.168.1.2/32').evaluate('fd42:0:0:2::', 'x/a', '80/TCP', 6).isAllowed, 'of either family')
  t.notOk(blocks('192.168.1.3/32').evaluate('10.42.2.0', 'x/a').isAllowed)
  t.notOk(blocks('192.168.1.0/24', ['192.168.1.2/32']).evaluate('10.42.2.0', 'x/a').isAllowed, 'or is excepted')
  t.notOk(blocks('10.42.2.0/32').evaluate('pi-2', 'x/a').isAllowed, 'not the other way round')
  const nodes = [node(2, { otherAddresses: ['198.51.100.2'] })]
  const from = [{ ipBlock: { cidr: '192.168.1.2/32' } }]
  const twofold = smallCluster([networkPolicy({ ingress: [{ from }] })], { nodes })
  t.notOk(twofold.evaluate('198.51.100.2', 'x/a').isAllowed, 'nor for those that people know')
})

t.test('ipBlock, networks, and pods: an address is an address, they match pods, too', async (t) => {
  const block = networkPolicy({ ingress: [{ from: [{ ipBlock: { cidr: '10.42.2.0/24' } }] }] })
  t.equal(
    whoReaches(smallCluster([block]), 'x/a')
      .split(' ')
      .filter((end) => end !== 'pi-2')
      .join(' '),
    'x/a x/b y/b pi-1',
  )
  const networks = clusterPolicy({ egress: [{ action: 'Deny', to: [{ networks: ['0.0.0.0/0'] }] }] })
  t.notOk(smallCluster([networks]).evaluate('x/a', 'y/b').isAllowed)
})

t.test('named ports: of the destination pod, by protocol', async (t) => {
  const pods = [
    pod('x/b', { ports: [{ name: 'web', protocol: 'TCP', number: 8080 }] }),
    pod('y/b', {
      ports: [
        { name: 'web', protocol: 'TCP', number: 9090 },
        { name: 'web', protocol: 'UDP', number: 53 },
      ],
    }),
  ]
  const egress = [{ to: [{ namespaceSelector: {} }], ports: [{ port: 'web' }] }]
  const cluster = smallCluster([networkPolicy({ policyTypes: ['Egress'], egress })], { pods })
  for (const [destination, port, isAllowed] of [
    ['x/b', '8080/TCP', true],
    ['x/b', '9090/TCP', false],
    ['y/b', '9090/TCP', true],
    ['y/b', '53/UDP', false],
    ['y/a', '80/TCP', false],
  ] as const)
    t.equal(cluster.evaluate('x/a', destination, port).isAllowed, isAllowed, `${destination}:${port}`)
})

t.test('named ports: where the peer is an ipBlock or everybody, any pod with a port of that name counts', async (t) => {
  for (const to of [{}, { to: [{ ipBlock: { cidr: '0.0.0.0/0' } }] }]) {
    const egress = [{ ...to, ports: [{ port: 'http' }] }]
    const cluster = smallCluster([networkPolicy({ policyTypes: ['Egress'], egress })])
    t.equal(whoIsReached(cluster, 'x/a'), PODS_AND_NODE)
    t.equal(whoIsReached(cluster, 'x/a', { port: '81/TCP' }), CLOSED)
  }
})

t.test('named ports: of a ClusterNetworkPolicy of any protocol', async (t) => {
  const ports = [
    { name: 'dns', protocol: 'TCP', number: 53 },
    { name: 'dns', protocol: 'UDP', number: 5353 },
  ] as const
  const rule = { action: 'Deny', from: ALL_PODS, protocols: [{ destinationNamedPort: 'dns' }] }
  const cluster = smallCluster([clusterPolicy({ ingress: [rule] })], { pods: [pod('x/b', { ports })] })
  for (const [port, isAllowed] of [
    ['53/TCP', false],
    ['5353/UDP', false],
    ['53/UDP', true],
    ['0/ICMP', true],
  ] as const)
    t.equal(cluster.evaluate('y/a', 'x/b', port).isAllowed, isAllowed, port)
})

t.test('rules with ports match TCP, UDP, SCTP only; ICMP passes by rules without ports', async (t) => {
  const every = [{ port: 1, endPort: 65535 }, { protocol: 'UDP' }, { protocol: 'SCTP' }]
  t.notOk(smallCluster([networkPolicy({ ingress: [{ ports: every }] })]).evaluate('x/b', 'x/a', '0/ICMP').isAllowed)
  t.ok(smallCluster([networkPolicy({ ingress: [{}] })]).evaluate('x/b', 'x/a', '0/ICMP').isAllowed)
})

t.test('one address, two pods in the API: a rule that matches either matches', async (t) => {
  const pods = [pod('y/old', { labels: { pod: 'old' }, nodeName: 'pi-2', addresses: ['10.42.2.10'] })]
  for (const label of ['old', 'b']) {
    const from = [{ namespaceSelector: {}, podSelector: { matchLabels: { pod: label } } }]
    t.ok(smallCluster([networkPolicy({ ingress: [{ from }] })], { pods }).evaluate('x/b', 'x/a').isAllowed, label)
  }
  const mixed = [{ namespaceSelector: { matchLabels: { ns: 'y' } }, podSelector: { matchLabels: { pod: 'b' } } }]
  const cluster = smallCluster([networkPolicy({ ingress: [{ from: mixed }] })], { pods })
  t.notOk(cluster.evaluate('x/b', 'x/a').isAllowed, 'and one that matches a bit of each does not')
})

t.test('one address, two pods in the API: what is for either of them is allowed when it is for both', async (t) => {
  const pods = [
    pod('y/old', { nodeName: 'pi-2', addresses: ['10.42.2.10'] }),
    pod('y/older', { nodeName: 'pi-2', addresses: ['10.42.2.10'] }),
  ]
  const policy = { ...networkPolicy({ podSelector: {} }), metadata: { namespace: 'y', name: 'closed' } }
  const { ingress } = smallCluster([policy], { pods }).evaluate('x/a', 'x/b')
  t.match(ingress, { isAllowed: false, pod: { key: 'y/old' } })
})

t.test('pods without an address, or ended, are nobody’s peer', async (t) => {
  const cluster = smallCluster([networkPolicy({ ingress: [{ from: [{ podSelector: {} }] }] })], {
    pods: [pod('x/b', { addresses: [] })],
  })
  t.equal(whoReaches(cluster, 'x/a'), CLOSED)
})

t.test('a rule or peer that cannot be done matches nobody in what lets through; the rest is enforced', async (t) => {
  for (const peer of [
    { ipBlock: { cidr: '0.0.0.0/33' } },
    { ipBlock: { cidr: '0.0.0.0/0', except: ['everything'] } },
    { podSelector: {}, serviceSelector: {} },
    {},
    null,
  ]) {
    const cluster = smallCluster([
      networkPolicy({ ingress: [{ from: [peer, { ipBlock: { cidr: '203.0.113.9/32' } }] }] }),
    ])
    t.equal(whoReaches(cluster, 'x/a'), 'x/a pi-1 world')
    t.match(cluster.problems, [{ field: /^spec\.ingress\[0\]\.from\[0\]/ }])
  }
  for (const rule of [{ ports: [{ port: 80 }], icmps: [] }, { ports: [{ port: 0 }] }, { from: {} }, null]) {
    const cluster = smallCluster([networkPolicy({ ingress: [rule, { from: [{ podSelector: {} }] }] })])
    t.equal(whoReaches(cluster, 'x/a'), 'x/a x/b pi-1')
    t.match(cluster.problems, [{ field: /^spec\.ingress\[0\]/ }])
  }
})

t.test('a rule that cannot be done makes Deny and Pass deny all, and Accept let nothing through', async (t) => {
  for (const change of [
    { to: [{ domainNames: ['example.com'] }] },
    { to: [{}] },
    { to: [] },
    { protocols: [{ icmp: {} }] },
    { sni: 'x' },
  ])
    for (const action of ['Accept', 'Deny', 'Pass'] as const) {
      const rule = { action, to: [{ networks: ['198.51.100.0/24'] }], ...change }
      const cluster = smallCluster([
        clusterPolicy({ egress: [rule, { action: 'Accept', to: [{ networks: ['203.0.113.0/24'] }] }] }),
      ])
      t.equal(cluster.evaluate('x/a', 'world').isAllowed, action === 'Accept')
      t.match(cluster.evaluate('x/a', 'world').egress.because, {
        rule: { path: `spec.egress[${action === 'Accept' ? 1 : 0}]` },
      })
      t.ok(cluster.evaluate('x/a', 'pi-1').isAllowed)
      t.match(cluster.problems, [{ field: /^spec\.egress\[0\]\./ }])
    }
})

t.test(
  'audit: a NetworkPolicy isolates nobody; what it would drop is told, and what it lets through stays let through',
  async (t) => {
    const audited = onAudit(networkPolicy({ ingress: [{ from: [{ podSelector: {} }] }] }))
    const cluster = smallCluster([audited, baseline({ ingress: [{ action: 'Deny', from: ALL_PODS }] })])
    t.match(cluster.evaluate('world', 'x/a'), {
      isAllowed: true,
      ingress: { because: { kind: 'default' }, audited: [{ kind: 'isolated', policies: [{ name: 'web' }] }] },
    })
    t.match(cluster.evaluate('x/b', 'x/a').ingress, {
      isAllowed: true,
      because: { policy: { name: 'web' } },
      audited: [],
    })
    t.match(
      cluster.evaluate('y/b', 'x/a').ingress,
      { isAllowed: false, because: { policy: { name: 'base' } } },
      'Baseline is reached',
    )
  },
)

t.test('audit: beside a policy that is enforced, its rules go on to let through', async (t) => {
  const audited = onAudit(networkPolicy({ ingress: [{ from: [{ podSelector: {} }] }] }, 'audited'))
  const cluster = smallCluster([audited, networkPolicy({ ingress: [] }, 'enforced')])
  t.equal(whoReaches(cluster, 'x/a'), 'x/a x/b pi-1')
  t.match(cluster.evaluate('world', 'x/a').ingress.because, { policies: [{ name: 'enforced' }] })
})

t.test('audit: a Deny drops nothing, and what comes behind it decides', async (t) => {
  const audited = onAudit(clusterPolicy({ ingress: [{ action: 'Deny', from: Y }] }))
  t.match(smallCluster([audited]).evaluate('y/b', 'x/a').ingress, {
    isAllowed: true,
    audited: [{ kind: 'rule', policy: { name: 'all' }, rule: { path: 'spec.ingress[0]' } }],
  })
  const isolated = smallCluster([audited, networkPolicy({ ingress: [] })]).evaluate('y/b', 'x/a').ingress
  t.match(isolated, { isAllowed: false, because: { kind: 'isolated' }, audited: [{ kind: 'rule' }] })
})

t.test('audit can only open: a Pass still spares what comes after it in its tier', async (t) => {
  const audited = onAudit(clusterPolicy({ priority: 1, ingress: [pass] }, 'passing'))
  t.ok(smallCluster([audited, clusterPolicy({ priority: 2, ingress: [deny] })]).evaluate('y/b', 'x/a').isAllowed)
})

t.test('--policy-mode never: as if all were on audit', async (t) => {
  const cluster = smallCluster(
    [clusterPolicy({ ingress: [{ action: 'Deny', from: Y }] }), networkPolicy({ ingress: [] })],
    {
      mode: 'never',
      local: [local('x/a', { isUnknown: true, link: 'brm of another', addresses: ['10.42.1.11'] })],
    },
  )
  t.equal(whoReaches(cluster, 'x/a'), EVERYBODY)
  t.match(cluster.evaluate('y/b', 'x/a').ingress.audited, [{ kind: 'rule' }, { kind: 'isolated' }])
  t.match(cluster.evaluate('y/b', '10.42.1.11'), { isAllowed: true, ingress: { audited: [{ kind: 'unknown' }] } })
})

t.test('--policy-mode always: pods that nothing selects are closed; containers without a pod are not', async (t) => {
  const container = local('x/a', { pod: undefined, uid: undefined, link: 'brm of ctr', addresses: ['10.42.1.11'] })
  const cluster = smallCluster([], { mode: 'always', local: [container] })
  t.equal(whoReaches(cluster, 'x/a'), CLOSED)
  t.match(cluster.evaluate('world', 'x/a').ingress, { isAllowed: false, because: { kind: 'default' } })
  t.ok(cluster.evaluate('world', '10.42.1.11').isAllowed)
  const opened = smallCluster([networkPolicy({ ingress: [{}] })], { mode: 'always' })
  t.ok(opened.evaluate('world', 'x/a').isAllowed)
  t.notOk(opened.evaluate('x/a', 'world').isAllowed, 'of each direction by itself')
})

t.test('containers without a pod: no policy is about them; as peers they are addresses', async (t) => {
  const container = local('x/a', { pod: undefined, uid: undefined, link: 'brm of ctr', addresses: ['10.42.1.11'] })
  const everything = clusterPolicy({ ingress: [deny], egress: [{ action: 'Deny', to: ALL_PODS }] })
  t.match(smallCluster([everything], { local: [container] }).evaluate('world', '10.42.1.11').ingress, {
    isAllowed: true,
    because: { kind: 'no-pod' },
  })
  for (const [from, isAllowed] of [
    [{ namespaceSelector: {} }, false],
    [{ ipBlock: { cidr: '10.42.1.11/32' } }, true],
  ] as const) {
    const cluster = smallCluster([networkPolicy({ ingress: [{ from: [from] }] })], { local: [container] })
    t.equal(cluster.evaluate('10.42.1.11', 'x/a').isAllowed, isAllowed)
  }
})

t.test('a pod of this node has the address that its agent gave it, not what the API says', async (t) => {
  const pods = [
    pod('y/a', { addresses: ['10.42.1.99'] }),
    pod('x/gone', { nodeName: 'pi-1', addresses: ['10.42.1.98'] }),
  ]
  const cluster = smallCluster([networkPolicy({ ingress: [{ from: [{ namespaceSelector: {} }] }] })], { pods })
  t.ok(cluster.evaluate('10.42.1.20', 'x/a').isAllowed, 'as it is wired')
  t.notOk(cluster.evaluate('10.42.1.99', 'x/a').isAllowed, 'as the API has it')
  t.notOk(cluster.evaluate('10.42.1.98', 'x/a').isAllowed, 'one that is not wired has none')
  const placeless = smallCluster([networkPolicy({ ingress: [{ from: [{ namespaceSelector: {} }] }] })], {
    pods: [pod('y/a', { nodeName: '', addresses: ['10.42.1.99'] })],
  })
  t.ok(placeless.evaluate('10.42.1.20', 'x/a').isAllowed, 'whatever the API knows of its place')
  t.notOk(placeless.evaluate('10.42.1.99', 'x/a').isAllowed)
})

t.test('a pod of this node that is not known (yet) is nobody’s peer', async (t) => {
  const unknown = [local('y/a', { isUnknown: true })]
  const cluster = smallCluster([networkPolicy({ ingress: [{ from: [{ namespaceSelector: {} }] }] })], {
    local: unknown,
  })
  t.match(cluster.evaluate('y/a', 'x/a'), {
    egress: { because: { kind: 'unknown' } },
    ingress: { because: { kind: 'isolated' } },
  })
})

t.test('a pod of this node that is not known (yet) is closed, or open with --policy-fail-open', async (t) => {
  for (const [what, unknown] of [
    ['it is said so', local('x/new', { isUnknown: true, addresses: ['10.42.1.11'] })],
    ['it may be a container or a pod', local('', { pod: undefined, isUnknown: true, addresses: ['10.42.1.11'] })],
    ['the API has it with the network of its node', local('y/host', { addresses: ['10.42.1.11'] })],
    ['the API has no such pod', local('x/new', { addresses: ['10.42.1.11'] })],
    ['the API has another one of that name', local('x/b', { uid: 'older', addresses: ['10.42.1.11'] })],
  ] as const)
    for (const failsOpen of [false, true]) {
      const pods = [pod('y/host', { isHostNetwork: true, addresses: ['192.168.1.1'] })]
      const cluster = smallCluster([], { pods, local: [unknown], failsOpen })
      t.equal(cluster.evaluate('10.42.1.11', 'y/b').isAllowed, failsOpen, what)
      t.match(
        cluster.evaluate('y/b', '10.42.1.11').ingress,
        { isAllowed: failsOpen, because: { kind: 'unknown' } },
        what,
      )
      t.ok(cluster.evaluate('pi-1', '10.42.1.11').isAllowed, 'and its node reaches it')
      t.ok(cluster.evaluate('10.42.1.11', '10.42.1.11').isAllowed, 'and it itself')
      const never = smallCluster([], { pods, local: [unknown], failsOpen, mode: 'never' })
      const { isAllowed, ingress } = never.evaluate('y/b', '10.42.1.11')
      t.same([isAllowed, ingress.audited], [true, failsOpen ? [] : [{ kind: 'unknown' }]])
    }
})
