import t from 'tap'
import { desiredPolicy } from '../../../agent/ruleset/desired.ts'
import { renderTable, withoutLogs } from '../../../agent/ruleset/render.ts'
import {
  CLIENT,
  clusterPolicy,
  elementsOf,
  endOf,
  input,
  LAB,
  localPod,
  networkPolicy,
  ON_AUDIT,
  pod,
  readable,
  rulesOf,
  type Situation,
} from './compile-cluster.ts'

const compile = (situation: Situation = {}) => desiredPolicy(input(situation))
const ingress = (situation: Situation) => rulesOf(compile(situation), 'ingress')
const egress = (situation: Situation) => rulesOf(compile(situation), 'egress')

t.test('the whole table, as it is made in one transaction', async (t) => {
  const table = compile({
    policies: [networkPolicy('web', { ingress: [{ from: [CLIENT], ports: [{ port: 80 }] }] })],
  })
  const text = renderTable(table, new Map([['spoofed', { packets: 3, bytes: 180 }]]))
  t.equal(
    readable(text),
    `add table inet bramble-policy
delete table inet bramble-policy
table inet bramble-policy {
	counter tunnelled {
		packets 0 bytes 0
	}
	counter spoofed {
		packets 3 bytes 180
	}
	counter cut {
		packets 0 bytes 0
	}
	counter dropped-in {
		packets 0 bytes 0
	}
	counter dropped-out {
		packets 0 bytes 0
	}
	counter audited-in {
		packets 0 bytes 0
	}
	counter audited-out {
		packets 0 bytes 0
	}
	counter accept-in-A {
		packets 0 bytes 0
	}
	counter drop-in-A {
		packets 0 bytes 0
	}
	set links4 {
		type ifname . ether_addr . ipv4_addr
		elements = { brm000000000001 . 02:00:00:00:00:01 . 10.42.1.1, brm000000000002 . 02:00:00:00:00:02 . 10.42.1.2 }
	}
	set links6 {
		type ifname . ether_addr . ipv6_addr
		elements = { brm000000000001 . 02:00:00:00:00:01 . fe80::ff:fe00:1, brm000000000002 . 02:00:00:00:00:02 . fe80::ff:fe00:2 }
	}
	set self4 {
		type ipv4_addr . ipv4_addr
		elements = { 10.42.1.1 . 10.42.1.1 }
	}
	set self6 {
		type ipv6_addr . ipv6_addr
	}
	set here4 {
		type ipv4_addr
		elements = { 192.168.1.1 }
	}
	set here6 {
		type ipv6_addr
	}
	set told-in4 {
		type ipv4_addr
		size 4096
		flags dynamic,timeout
		timeout 10s
	}
	set told-in6 {
		type ipv6_addr
		size 4096
		flags dynamic,timeout
		timeout 10s
	}
	set told-out4 {
		type ipv4_addr
		size 4096
		flags dynamic,timeout
		timeout 10s
	}
	set told-out6 {
		type ipv6_addr
		size 4096
		flags dynamic,timeout
		timeout 10s
	}
	set nodes4-B {
		type ipv4_addr
		comment "nodes: all"
		elements = { 192.168.1.1, 10.42.1.0, 192.168.1.2, 10.42.2.0 }
	}
	set nodes6-B {
		type ipv6_addr
		comment "nodes: all"
		elements = { fd42:0:0:1::, fd42:0:0:2:: }
	}
	set pods4-C {
		type ipv4_addr
		comment "pods: app=client in namespace shop"
		elements = { 10.42.2.3 }
	}
	map ingress4 {
		type ipv4_addr : verdict
		elements = { 10.42.1.1 : jump in-D }
	}
	map ingress6 {
		type ipv6_addr : verdict
	}
	map egress4 {
		type ipv4_addr : verdict
	}
	map egress6 {
		type ipv6_addr : verdict
	}
	chain from-pods {
		type filter hook prerouting priority raw; policy accept;
		iifname != "brm*" return comment "from elsewhere"
		meta l4proto tcp iifname . ether saddr . ip saddr @links4 return comment "its own address"
		meta l4proto tcp iifname . ether saddr . ip6 saddr @links6 return comment "its own address"
		iifgroup != { 0x62726d01, 0x62726d02 } return comment "from elsewhere"
		meta l4proto { 4, 41, 47 } jump tunnels comment "IP in IP, GRE"
		iifname . ether saddr . ip saddr @links4 return comment "its own address"
		iifname . ether saddr . ip6 saddr @links6 return comment "its own address"
		ip6 saddr :: return comment "on the link alone"
		counter name "spoofed" drop comment "forged"
	}
	chain tunnels {
		ip daddr @nodes4-B counter name "tunnelled" drop comment "to a node"
		ip6 daddr @nodes6-B counter name "tunnelled" drop comment "to a node"
		fib daddr type local counter name "tunnelled" drop comment "to this node, by whatever address"
	}
	chain input {
		type filter hook input priority filter - 5; policy accept;
		iifname != "brm*" return comment "from elsewhere"
		udp dport 4789 iifname "brm*" iifgroup { 0x62726d01, 0x62726d02 } counter name "tunnelled" drop comment "VXLAN"
		udp dport 51820 ct state new,untracked iifname "brm*" iifgroup { 0x62726d01, 0x62726d02 } jump tunnels comment "WireGuard"
	}
	chain forward {
		type filter hook forward priority filter - 5; policy accept;
		udp dport 4789 iifname "brm*" iifgroup { 0x62726d01, 0x62726d02 } counter name "tunnelled" drop comment "VXLAN"
		ct state established,related ct mark & 0x10000000 == 0 accept comment "replies, and errors about what was allowed"
		ct mark & 0x10000000 != 0 counter name "cut" drop comment "a policy was tightened"
		udp dport 51820 ct state new,untracked iifname "brm*" iifgroup { 0x62726d01, 0x62726d02 } jump tunnels comment "WireGuard"
		ip saddr . ip daddr @self4 accept comment "a pod and itself"
		ip6 saddr . ip6 daddr @self6 accept comment "a pod and itself"
		ip daddr vmap @ingress4 comment "what comes in"
		ip6 daddr vmap @ingress6 comment "what comes in"
		ip saddr vmap @egress4 comment "what goes out"
		ip6 saddr vmap @egress6 comment "what goes out"
	}
	chain output {
		type filter hook output priority filter - 5; policy accept;
		ct state established,related ct mark & 0x10000000 == 0 return comment "replies, and what has begun"
		ip saddr @here4 return comment "the node itself"
		ip6 saddr @here6 return comment "the node itself"
		fib saddr type local return comment "the node itself, by another address"
		udp dport 4789 counter name "tunnelled" drop comment "VXLAN"
		ct mark & 0x10000000 != 0 counter name "cut" drop comment "a policy was tightened"
		ip saddr . ip daddr @self4 accept comment "a pod and itself"
		ip6 saddr . ip6 daddr @self6 accept comment "a pod and itself"
		ip daddr vmap @ingress4 comment "what comes in"
		ip6 daddr vmap @ingress6 comment "what comes in"
		ip saddr vmap @egress4 comment "what goes out"
		ip6 saddr vmap @egress6 comment "what goes out"
	}
	chain drop-in-A {
		update @told-in4 { ip daddr limit rate 1/second burst 5 packets } log prefix "bramble drop-in-A" group 25202 snaplen 128 comment "NetworkPolicy shop/web dropped"
		update @told-in6 { ip6 daddr limit rate 1/second burst 5 packets } log prefix "bramble drop-in-A" group 25202 snaplen 128 comment "NetworkPolicy shop/web dropped"
		counter name "drop-in-A" comment "NetworkPolicy shop/web dropped"
		counter name "dropped-in" drop comment "NetworkPolicy shop/web dropped"
	}
	chain in-D {
		tcp dport 80 ip saddr @pods4-C counter name "accept-in-A" return comment "NetworkPolicy shop/web spec.ingress[0]"
		goto drop-in-A comment "NetworkPolicy shop/web what no rule lets through"
	}
}`,
  )
})

t.test('for a kernel without NFLOG the same rules do not log', async (t) => {
  const text = renderTable(compile({ policies: [networkPolicy('web', {})] }))
  t.match(text, /log prefix/)
  const without = withoutLogs(text)
  t.notMatch(without, /log prefix/)
  t.same(
    without.split('\n'),
    text.split('\n').filter((line) => !line.includes('log prefix')),
  )
})

t.test('peers are sets, shared by all rules that mean the same', async (t) => {
  const table = compile({
    policies: [
      networkPolicy('one', { ingress: [{ from: [CLIENT, LAB] }] }),
      networkPolicy('two', { podSelector: { matchLabels: { app: 'db' } }, ingress: [{ from: [LAB] }] }),
    ],
  })
  t.same(elementsOf(table, 'pods4'), {
    'pods: app=client in namespace shop': ['10.42.2.3'],
    'pods: all in namespaces: kubernetes.io/metadata.name=lab': ['10.42.2.4'],
  })
})

t.test('a rule without peers and ports is one return; one without peers that anybody is, is none', async (t) => {
  t.equal(
    ingress({ policies: [networkPolicy('web', { ingress: [{}, { from: [{ ipBlock: { cidr: 'nonsense' } }] }] })] }),
    `in-A:
  counter name "accept-in-B" return
  goto drop-in-B
${endOf('drop-in-B')}`,
  )
})

t.test('ports of one protocol are one look-up; names are those of the pod itself', async (t) => {
  const ports = [
    { port: 443 },
    { port: 81 },
    { port: 8000, endPort: 8100 },
    { port: 8050, endPort: 8200 },
    { port: 53, protocol: 'UDP' },
    { protocol: 'SCTP' },
    { port: 'http' },
    { port: 'dns', protocol: 'UDP' },
  ]
  t.equal(
    ingress({ policies: [networkPolicy('web', { ingress: [{ ports }] })] }),
    `in-A:
  tcp dport { 80-81, 443, 8000-8200 } counter name "accept-in-B" return
  udp dport 53 counter name "accept-in-B" return
  sctp dport 1-65535 counter name "accept-in-B" return
  goto drop-in-B
${endOf('drop-in-B')}`,
  )
})

t.test('a named port on the way out is where each pod has it', async (t) => {
  const to = [LAB, { ipBlock: { cidr: '10.0.0.0/8', except: ['10.42.1.0/24', '10.42.4.0/22'] } }]
  const situation = {
    policies: [networkPolicy('web', { policyTypes: ['Egress'], egress: [{ to, ports: [{ port: 'http' }] }] })],
  }
  t.equal(
    egress(situation),
    `out-A:
  ip daddr . meta l4proto . th dport @ports4-B counter name "accept-out-C" return
  ip daddr @cidrs4-D ip daddr . meta l4proto . th dport @ports4-E counter name "accept-out-C" return
  goto drop-out-C
${endOf('drop-out-C')}`,
  )
  const table = compile(situation)
  t.same(elementsOf(table, 'ports4'), {
    'port http (TCP) of pods: all in namespaces: kubernetes.io/metadata.name=lab': ['10.42.2.4 . 6 . 8080'],
    'port http (TCP) of pods: all in namespaces: all': [
      '10.42.1.1 . 6 . 80',
      '10.42.1.2 . 6 . 8080',
      '10.42.2.3 . 6 . 8080',
      '10.42.2.4 . 6 . 8080',
    ],
  })
  t.same(Object.values(elementsOf(table, 'cidrs4')).flat(), [
    '10.0.0.0-10.42.0.255',
    '10.42.2.0/23',
    '10.42.8.0-10.255.255.255',
  ])
})

t.test(
  'a range that a node is in means the ends of its tunnels, too, and nodes mean all of their addresses',
  async (t) => {
    const table = compile({
      hasIpv6: true,
      policies: [
        networkPolicy('web', { ingress: [{ from: [{ ipBlock: { cidr: '192.168.1.2/32' } }] }] }),
        clusterPolicy('disks', {
          egress: [{ action: 'Accept', to: [{ nodes: { matchLabels: { disk: 'ssd' } } }] }],
        }),
      ],
    })
    t.match(rulesOf(table, 'ingress'), 'ip saddr 192.168.1.2 counter')
    t.same(elementsOf(table, 'tunnels4'), { 'tunnels of nodes in 192.168.1.2': ['10.42.2.0'] })
    t.same(elementsOf(table, 'tunnels6'), { 'tunnels of nodes in 192.168.1.2': ['fd42:0:0:2::'] })
    const addresses = {
      4: ['10.42.1.0', '10.42.2.0', '192.168.1.1', '192.168.1.2'],
      6: ['fd42:0:0:1::', 'fd42:0:0:2::'],
    }
    t.same(elementsOf(table, 'nodes4'), { 'nodes: all': addresses[4], 'nodes: disk=ssd': addresses[4] })
    t.same(elementsOf(table, 'nodes6'), { 'nodes: all': addresses[6], 'nodes: disk=ssd': addresses[6] })
  },
)

t.test('pods of both families have rules of both', async (t) => {
  t.equal(
    ingress({ hasIpv6: true, policies: [networkPolicy('web', { ingress: [{ from: [CLIENT] }] })] }),
    `in-A:
  ip saddr @pods4-B counter name "accept-in-C" return
  ip6 saddr @pods6-B counter name "accept-in-C" return
  goto drop-in-C
${endOf('drop-in-C')}`,
  )
})

const TIERS = [
  clusterPolicy('guard', {
    ingress: [
      {
        action: 'Accept',
        from: [{ namespaces: LAB.namespaceSelector }],
        protocols: [{ tcp: { destinationPort: { number: 9100 } } }],
      },
      { action: 'Pass', from: [{ pods: { namespaceSelector: {}, ...CLIENT } }] },
      { action: 'Deny', from: [{ namespaces: LAB.namespaceSelector }] },
    ],
  }),
  clusterPolicy('floor', { tier: 'Baseline', ingress: [{ action: 'Deny', from: [{ namespaces: {} }] }] }),
]
const WEB = networkPolicy('web', { ingress: [{ from: [CLIENT] }] })

t.test('each tier is a chain that goes to the next; who is isolated never comes to Baseline', async (t) => {
  const table = compile({ policies: [...TIERS, WEB] })
  const admin = `in-A:
  tcp dport 9100 ip saddr @pods4-B counter name "accept-in-C" return
  ip saddr @pods4-D counter name "pass-in-C" goto in-E
  ip saddr @pods4-B goto drop-in-C
  goto in-E
in-E:
`
  t.equal(
    rulesOf(table, 'ingress', '10.42.1.1'),
    `${admin}  ip saddr @pods4-F counter name "accept-in-G" return
  goto drop-in-G
${endOf('drop-in-G')}
${endOf('drop-in-C')}`,
  )
  t.equal(
    rulesOf(table, 'ingress', '10.42.1.2'),
    `${admin}  ip saddr @pods4-F goto drop-in-G
${endOf('drop-in-G')}
${endOf('drop-in-C')}`,
    'a pod that no NetworkPolicy selects',
  )
})

t.test('what several policies isolate a pod against, each of them counts, and one counter once', async (t) => {
  const policies = [WEB, networkPolicy('quiet', {}), networkPolicy('silent', {}, ON_AUDIT)]
  const rules = ingress({ policies })
  t.match(rules, endOf('drop-in-D', 'drop-in-E', 'drop-in-C'))
  t.notMatch(rules, 'audit', 'beside others one on audit changes nothing')
  const alone = desiredPolicy(input({ policies: [networkPolicy('quiet', {})] }))
  const both = [...desiredPolicy(input({ policies })).counters.values()]
  const own = [...alone.counters.values()].find(({ policy }) => policy === 'NetworkPolicy shop/quiet')
  t.ok(
    both.some(({ name }) => name === own?.name),
    'by the name that it has alone: it goes on when others come',
  )
})

t.test('where no tier follows, Pass is a return', async (t) => {
  t.equal(
    ingress({ policies: [clusterPolicy('pass', { ingress: [{ action: 'Pass', from: [{ namespaces: {} }] }] })] }),
    `in-A:
  ip saddr @pods4-B counter name "pass-in-C" return`,
  )
})

t.test('lower numbers decide first, and of equal ones the first by name', async (t) => {
  const deny = (name: string, priority: number) =>
    clusterPolicy(name, { priority, ingress: [{ action: 'Deny', from: [{ namespaces: {} }] }] })
  const table = compile({ policies: [deny('c', 1), deny('b', 5), deny('a', 5)] })
  const [chain] = [...table.chains.values()].filter(({ name }) => name.startsWith('in-'))
  t.same(
    chain?.rules.map((rule) => /ClusterNetworkPolicy \w/.exec(rule)?.[0]),
    ['c', 'a', 'b'].map((name) => `ClusterNetworkPolicy ${name}`),
  )
})

t.test('a policy on audit isolates nobody: what it would drop is counted, and asks the next tier', async (t) => {
  const audited = networkPolicy('web', { ingress: [{ from: [CLIENT] }] }, ON_AUDIT)
  t.equal(
    ingress({ policies: [audited, ...TIERS.slice(1)] }),
    `in-A:
  ip saddr @pods4-B counter name "accept-in-C" return
  jump audit-in-C
  goto in-D
${endOf('audit-in-C')}
in-D:
  ip saddr @pods4-E goto drop-in-F
${endOf('drop-in-F')}`,
  )
  t.match(ingress({ policies: [audited, WEB] }), / {2}goto drop-in-/, 'beside one that isolates')
})

t.test('in the mode never all is as if it were on audit', async (t) => {
  const rules = ingress({ mode: 'never', policies: [...TIERS, WEB] })
  t.notMatch(rules, /drop/)
  t.equal(rules.match(/jump audit-in-/g)?.length, 3)
})

t.test('in the mode always what nothing decides is closed, but for containers that no Kubernetes has', async (t) => {
  t.equal(ingress({ mode: 'always' }), endOf('closed-in'))
  t.equal(egress({ mode: 'always' }), endOf('closed-out'))
  t.equal(
    ingress({ mode: 'always', policies: TIERS.slice(1) }),
    `in-A:
  ip saddr @pods4-B goto drop-in-C
  goto closed-in
${endOf('drop-in-C')}
${endOf('closed-in')}`,
  )
  t.equal(ingress({ mode: 'always', local: [localPod('shop/web', { pod: undefined })] }), '')
})

t.test('a pod of which nothing is known is closed, or open where that was asked for', async (t) => {
  const unknown: Record<string, Situation> = {
    'told so': { local: [localPod('shop/web', { isUnknown: true })] },
    'not in the cluster': { local: [localPod('shop/web', { pod: 'shop/new' })] },
    'an older one of that name': { local: [localPod('shop/web', { uid: 'older' })] },
    'one that cannot have been wired': { pods: [pod('shop/web', { isHostNetwork: true })] },
  }
  for (const [what, situation] of Object.entries(unknown)) {
    t.equal(ingress(situation), endOf('unknown-in'), what)
    t.equal(egress(situation), endOf('unknown-out'), what)
    t.equal(ingress({ ...situation, failsOpen: true }), '', `${what}, open`)
    t.equal(ingress({ ...situation, mode: 'never' }), endOf('unknown-in').replace(/ drop$/, ''), `${what}, never`)
  }
})

t.test('a pod of this node is known by the address that it has here, whatever the cluster says', async (t) => {
  const policies = [
    networkPolicy('db', { podSelector: { matchLabels: { app: 'db' } }, ingress: [{ from: [{ podSelector: {} }] }] }),
  ]
  const told = pod('shop/web', { addresses: ['10.42.7.7'] })
  const gone = pod('shop/gone', { nodeName: 'pi-1', addresses: ['10.42.1.77'] })
  t.same(elementsOf(compile({ policies, pods: [told, gone] }), 'pods4'), {
    'pods: all in namespace shop': ['10.42.1.1', '10.42.1.2', '10.42.2.3'],
  })
})

t.test('pods with the network of their node, and what is no address, are nobody', async (t) => {
  const policies = [networkPolicy('web', { ingress: [{ from: [LAB] }] })]
  const pods = [
    pod('lab/host', { isHostNetwork: true, addresses: ['192.168.1.2'] }),
    pod('lab/odd', { addresses: ['10.42.2.04', '10.42.2.5; flush ruleset', '10.42.2.6'] }),
  ]
  t.same(Object.values(elementsOf(compile({ policies, pods }), 'pods4')), [['10.42.2.4', '10.42.2.6']])
})

t.test('every pod that is wired has its source pinned, whether a policy selects it or not', async (t) => {
  const { sets, maps } = compile({ local: [localPod('shop/web'), localPod('shop/db', { pod: undefined })] })
  t.same(
    [...(sets.get('links4')?.elements ?? [])],
    ['brm000000000001 . 02:00:00:00:00:01 . 10.42.1.1', 'brm000000000002 . 02:00:00:00:00:02 . 10.42.1.2'],
  )
  t.equal(sets.get('self4')?.elements.size, 0)
  t.equal(maps.get('ingress4')?.elements.size, 0)
})

t.test('pods that the same policies select share chains; those with other ports of their own do not', async (t) => {
  const policies = [networkPolicy('all', { podSelector: {}, ingress: [{ ports: [{ port: 80 }] }] })]
  const chainsOf = (situation: Situation) => new Set(compile(situation).maps.get('ingress4')?.elements.values()).size
  t.equal(chainsOf({ policies }), 1)
  const named = [networkPolicy('all', { podSelector: {}, ingress: [{ ports: [{ port: 'http' }] }] })]
  t.equal(chainsOf({ policies: named }), 2)
})

t.test('only policies that select a pod of this node are in the table', async (t) => {
  const table = compile({ policies: [networkPolicy('client', { ...CLIENT, ingress: [{ from: [LAB] }] })] })
  t.equal(readable(renderTable(table)), readable(renderTable(compile())))
})

t.test('ten thousand CIDRs of one rule are one look-up', async (t) => {
  const from = Array.from({ length: 10_000 }, (_, i) => ({ ipBlock: { cidr: `10.${i >> 8}.${i & 255}.0/25` } }))
  const table = compile({ policies: [networkPolicy('web', { ingress: [{ from }] })] })
  t.match(
    rulesOf(table, 'ingress'),
    `in-A:
  ip saddr @cidrs4-B counter name "accept-in-C" return
  goto drop-in-C`,
  )
  t.same(
    Object.values(elementsOf(table, 'cidrs4')).map(({ length }) => length),
    [10_000],
  )
})

t.test('one range or two are written into the rule, more are a set', async (t) => {
  const from = (...cidrs: string[]) => [{ from: cidrs.map((cidr) => ({ ipBlock: { cidr } })) }]
  const policies = [
    networkPolicy('web', { ingress: from('10.0.0.0/8', 'fd42::/16') }),
    networkPolicy('web', {
      policyTypes: ['Egress'],
      egress: [{ to: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.42.0.0/16'] } }], ports: [{ port: 53 }] }],
    }),
  ]
  t.equal(
    ingress({ policies: policies.slice(0, 1), hasIpv6: true }),
    `in-A:
  ip saddr 10.0.0.0/8 counter name "accept-in-B" return
  ip6 saddr fd42::/16 counter name "accept-in-B" return
  goto drop-in-B
${endOf('drop-in-B')}`,
  )
  t.equal(
    egress({ policies: policies.slice(1) }),
    `out-A:
  tcp dport 53 ip daddr 10.0.0.0-10.41.255.255 counter name "accept-out-B" return
  tcp dport 53 ip daddr 10.43.0.0-10.255.255.255 counter name "accept-out-B" return
  goto drop-out-B
${endOf('drop-out-B')}`,
  )
  const three = compile({
    policies: [networkPolicy('web', { ingress: from('10.0.0.0/8', '11.1.0.0/16', '13.0.0.0/8') })],
  })
  t.same(Object.values(elementsOf(three, 'cidrs4')), [['10.0.0.0/8', '11.1.0.0/16', '13.0.0.0/8']])
})

t.test('the way in which the cluster is listed changes nothing', async (t) => {
  const state = input({ policies: [...TIERS, WEB] })
  const { pods, namespaces, policies } = state.workloads
  const turned = {
    ...state,
    workloads: {
      pods: new Map([...pods].reverse()),
      namespaces: new Map([...namespaces].reverse()),
      policies: new Map([...policies].reverse()),
    },
  }
  const names = (one: typeof state) => [...desiredPolicy(one).chains.keys()].sort()
  t.same(names(turned), names(state))
})
