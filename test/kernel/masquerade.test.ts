import t from 'tap'
import { desiredMasquerade, MASQUERADE_TABLE, type MasqueradeSettings } from '../../agent/desired/masquerade.ts'
import { Nftables } from '../../agent/kernel/nftables.ts'
import { watchNftables } from '../../agent/kernel/nftables-events.ts'
import { masqueradeSubsystems } from '../../agent/nodes/masquerade.ts'
import { apply, type Outcome } from '../../agent/reconcile/apply.ts'
import { type Cidr, parseCidr } from '../../ipam/address.ts'
import { until } from './agent.ts'
import { enterScratchNode, makeNetns, run } from './scratch.ts'
import { Question, seenBy, startWitness } from './witness.ts'

/**
 * Real packets. The scratch node itself is a node with one pod; on its uplink are a host of the outside, which also has an
 * address that is exempt, and another node's pod. All of them know the way to the pod, so that only the rules decide.
 */
const POD = { 4: '10.42.1.5', 6: 'fd42:0:0:1::5' } as const
const NODE = { 4: '192.0.2.1', 6: '2001:db8::1' } as const
const OUTSIDE = { 4: '192.0.2.50', 6: '2001:db8::50' } as const
const EXEMPT = { 4: '198.51.100.1', 6: '2001:db8:e::1' } as const
const OTHER_POD = { 4: '10.42.2.7', 6: 'fd42:0:0:2::7' } as const
const GATEWAY = { 4: '169.254.1.1', 6: 'fe80::1' } as const

const cidrs = (...texts: string[]) => texts.map(parseCidr)
const OWN = cidrs('10.42.1.0/24', 'fd42:0:0:1::/64')
const OTHERS = cidrs('10.42.2.0/24', 'fd42:0:0:2::/64')

await enterScratchNode()
await layCables()
const nft = Nftables.load()
const { table, elements } = masqueradeSubsystems(nft)
const witnesses = [
  await startWitness('outside', ...[OUTSIDE, EXEMPT].flatMap((addresses) => Object.values(addresses))),
  await startWitness('other-node', ...Object.values(OTHER_POD)),
  await startWitness('pod', ...Object.values(POD)),
]
t.after(() => Promise.all([nft.close(), ...witnesses.map((end) => end())]))

const SETTINGS: MasqueradeSettings = {
  isOn: true,
  exempt: cidrs('198.51.100.0/24', '198.51.0.0/16', '2001:db8:e::/48'),
}

t.beforeEach(async () => {
  await run('nft', 'flush', 'ruleset')
  await put(SETTINGS)
})

for (const family of [4, 6] as const)
  for (const protocol of ['tcp', 'udp'] as const) {
    t.test(`IPv${family}, ${protocol}: the outside sees the node's address`, async (t) => {
      t.equal(await seenBy(OUTSIDE[family], 'pod', protocol), NODE[family])
    })

    t.test(
      `IPv${family}, ${protocol}: pods, those who are exempt and the node itself see the pod's address`,
      async (t) => {
        t.equal(await seenBy(OTHER_POD[family], 'pod', protocol), POD[family], 'a pod of another node')
        t.equal(await seenBy(EXEMPT[family], 'pod', protocol), POD[family], 'an exempt host')
      },
    )

    t.test(`IPv${family}, ${protocol}: what others say to the pod keeps its source`, async (t) => {
      t.equal(await seenBy(POD[family], 'other-node', protocol), OTHER_POD[family], 'a pod of another node')
      t.equal(await seenBy(POD[family], 'outside', protocol), OUTSIDE[family], 'the outside')
      t.not(await seenBy(POD[family], undefined, protocol), undefined, 'the node')
    })
  }

t.test('the node keeps the address that it speaks from, to its pods and to the outside', async (t) => {
  // One that is not the one masquerading would choose.
  const second = '203.0.113.1'
  await run('ip', 'address', 'add', `${second}/32`, 'dev', 'lo')
  await route('pod', second, 'via', GATEWAY[4], 'dev', 'eth0', 'onlink')
  await route('outside', second, 'via', NODE[4])
  await route(undefined, POD[4], 'dev', 'to-pod', 'src', second)
  await route(undefined, OUTSIDE[4], 'dev', 'uplink', 'src', second)
  t.equal(await seenBy(POD[4], undefined), second)
  t.equal(await seenBy(OUTSIDE[4], undefined), second)
  await route(undefined, POD[4], 'dev', 'to-pod')
  await run('ip', 'route', 'delete', OUTSIDE[4])
})

for (const family of [4, 6] as const)
  t.test(`IPv${family}: what passes this node from other nodes' pods is theirs to masquerade`, async (t) => {
    await route('other-node', OUTSIDE[family], 'via', NODE[family], 'src', OTHER_POD[family])
    await route('outside', OTHER_POD[family], 'via', NODE[family])
    t.equal(await seenBy(OUTSIDE[family], 'other-node'), OTHER_POD[family])
  })

t.test('without exemption all but pods see the node; without masquerading everybody sees the pod', async (t) => {
  await put({ isOn: true, exempt: [] })
  t.equal(await seenBy(EXEMPT[4], 'pod'), NODE[4])
  t.equal(await seenBy(EXEMPT[6], 'pod'), NODE[6])
  t.equal(await seenBy(OTHER_POD[4], 'pod'), POD[4])
  const { removed } = await put({ isOn: false, exempt: [] })
  t.match(removed.at(-1), `nftables table ${MASQUERADE_TABLE}`)
  t.equal(await seenBy(OUTSIDE[4], 'pod'), POD[4])
  t.equal(await seenBy(OUTSIDE[6], 'pod'), POD[6])
  t.equal(await run('nft', 'list', 'tables'), '')
})

t.test('a node that comes is exempt by an element, one that goes is outside again', async (t) => {
  const goes = await put(SETTINGS, [])
  t.same(goes, {
    put: [],
    removed: [
      `nftables element 10.42.2.0 of pods4-24 in ${MASQUERADE_TABLE}`,
      `nftables element fd42:0:0:2:: of pods6-64 in ${MASQUERADE_TABLE}`,
    ],
    failures: [],
  })
  t.equal(await seenBy(OTHER_POD[4], 'pod'), NODE[4])
  t.equal(await seenBy(OTHER_POD[6], 'pod'), NODE[6])
  const comes = await put(SETTINGS, OTHERS)
  t.same(comes, { put: goes.removed, removed: [], failures: [] })
  t.equal(await seenBy(OTHER_POD[4], 'pod'), POD[4])
  t.equal(await seenBy(OTHER_POD[6], 'pod'), POD[6])
})

t.test('a pod of a node that is not yet known is a pod where the cluster CIDR is known', async (t) => {
  await put(SETTINGS, [], cidrs('10.42.0.0/16', 'fd42::/48'))
  t.equal(await seenBy(OTHER_POD[4], 'pod'), POD[4])
  t.equal(await seenBy(OTHER_POD[6], 'pod'), POD[6])
})

for (const protocol of ['tcp', 'udp'] as const)
  t.test(`${protocol}: an established flow keeps address and port while the table is made anew`, async (t) => {
    const question = new Question('pod', protocol, OUTSIDE[4])
    const seen = await question.ask()
    t.equal(seen?.address, NODE[4])
    for (const exempt of [[], SETTINGS.exempt, cidrs(`${OUTSIDE[4]}/32`), []]) {
      t.match((await put({ isOn: true, exempt })).put, [`nftables table ${MASQUERADE_TABLE}`])
      t.same(await question.ask(), seen)
    }
    await question.end()
  })

t.test('what was put is listed as it was put, with any CIDRs', async (t) => {
  const cases: Record<string, [MasqueradeSettings, Cidr[]]> = {
    'many prefix lengths': [
      SETTINGS,
      cidrs('10.43.0.0/23', '10.44.0.128/25', '10.44.1.1/32', 'fd43::/112', 'fd44::1/128'),
    ],
    'neighbouring and overlapping exemptions': [
      { isOn: true, exempt: cidrs('10.0.0.0/9', '10.128.0.0/9', '10.0.0.0/8', '10.1.1.1/32', 'fd00::/8', 'fd00::/9') },
      OTHERS,
    ],
    'everything exempt': [{ isOn: true, exempt: cidrs('0.0.0.0/0', '::/0') }, OTHERS],
    'a node that claims everything': [SETTINGS, cidrs('0.0.0.0/0', '::/0')],
    'a hundred exemptions': [
      { isOn: true, exempt: cidrs(...Array.from({ length: 100 }, (_, i) => `10.${i}.${i}.0/24`)) },
      OTHERS,
    ],
  }
  for (const [what, [settings, others]] of Object.entries(cases)) {
    t.same((await put(settings, others)).failures, [], what)
    t.same(await put(settings, others), { put: [], removed: [], failures: [] }, `${what}, again`)
  }
})

/** What somebody does with `nft`. */
const HARM: Record<string, string> = {
  'the ruleset is flushed': 'flush ruleset',
  'the table is deleted': `delete table ${MASQUERADE_TABLE}`,
  'a chain is flushed': `flush chain ${MASQUERADE_TABLE} from-pods`,
  'a rule is inserted': `insert rule ${MASQUERADE_TABLE} from-pods ip daddr ${OUTSIDE[4]} return`,
  'the table is put to sleep': `add table ${MASQUERADE_TABLE} { flags dormant; }`,
  'the policy is changed': `add chain ${MASQUERADE_TABLE} postrouting { type nat hook postrouting priority srcnat; policy drop; }`,
  'a chain is added': `add chain ${MASQUERADE_TABLE} other { type nat hook postrouting priority 0; }`,
  'a set is flushed': `flush set ${MASQUERADE_TABLE} pods4-24`,
  'an element is deleted': `delete element ${MASQUERADE_TABLE} pods4-24 { 10.42.2.0 }`,
  'an element is added': `add element ${MASQUERADE_TABLE} pods4-24 { 192.0.2.0 comment "mine" }`,
}

for (const [what, command] of Object.entries(HARM))
  t.test(`when ${what}, it is heard of and repaired, and a second look changes nothing`, async (t) => {
    let heard = false
    const events = watchNftables(
      (port) => nft.isOurs(port),
      () => (heard = true),
    )
    t.teardown(() => events.close())
    await run('nft', command)
    await until('the change is heard of', () => heard)
    const outcome = await put(SETTINGS)
    t.ok(outcome.put.length + outcome.removed.length > 0)
    t.same(outcome.failures, [])
    t.same(await put(SETTINGS), { put: [], removed: [], failures: [] })
    t.equal(await seenBy(OUTSIDE[4], 'pod'), NODE[4])
    t.equal(await seenBy(OTHER_POD[4], 'pod'), POD[4])
  })

for (const position of [0, 1])
  t.test(`a rule that is deleted by its handle is back: number ${position} of its chain`, async (t) => {
    const text = await run('nft', '-a', 'list', 'chain', ...MASQUERADE_TABLE.split(' '), 'from-pods')
    const handle = Array.from(text.matchAll(/#[0-9a-f]{8}" # handle (\d+)/g))[position]?.[1] ?? ''
    await run('nft', `delete rule ${MASQUERADE_TABLE} from-pods handle ${handle}`)
    t.same((await put(SETTINGS)).put, [`nftables table ${MASQUERADE_TABLE}`])
    t.same(await put(SETTINGS), { put: [], removed: [], failures: [] })
  })

t.test('tables of other programs stay as they are, those with a name like ours among them', async (t) => {
  for (const foreign of ['inet bramble-masquerade-of-mine', 'ip bramble-masquerade', 'inet nat']) {
    await run('nft', `add table ${foreign}`)
    await run('nft', `add chain ${foreign} c { type nat hook postrouting priority 50; }`)
    await run('nft', `add rule ${foreign} c ip daddr 203.0.113.9 counter masquerade`)
  }
  const before = await foreignRules()
  await put({ isOn: false, exempt: [] })
  await put(SETTINGS)
  t.same(await foreignRules(), before)
  t.equal(before.match(/^table /gm)?.length, 3)
})

t.test('elements of a table that is gone are removed already, and cannot be put', async (t) => {
  const all = await elements.list()
  await run('nft', 'flush', 'ruleset')
  t.same(
    await elements.remove(all),
    all.map(() => undefined),
  )
  t.match(
    await elements.put(all.map((desired) => ({ desired }))),
    all.map(() => ({ code: 'NFTABLES', errno: 'ENOENT' })),
  )
  t.same(await elements.list(), [])
  t.same(await table.list(), [])
})

t.end()

async function put(settings: MasqueradeSettings, others = OTHERS, clusterCidrs: Cidr[] = []): Promise<Outcome> {
  const desired = desiredMasquerade(settings, OWN, others, clusterCidrs)
  return apply([
    { subsystem: table, desired: desired.tables, actual: await table.list() },
    { subsystem: elements, desired: desired.elements, actual: await elements.list() },
  ])
}

async function foreignRules(): Promise<string> {
  const tables = (await run('nft', 'list', 'tables')).split('\n').filter((line) => line !== '')
  const foreign = tables.filter((line) => line !== `table ${MASQUERADE_TABLE}`)
  return (await Promise.all(foreign.map((line) => run('nft', '-a', ...`list ${line}`.split(' '))))).join('')
}

async function layCables(): Promise<void> {
  for (const setting of ['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']) await run('sysctl', '-qw', setting)
  for (const name of ['pod', 'outside', 'other-node']) {
    await makeNetns(name)
    await run('ip', '-n', name, 'link', 'set', 'lo', 'up')
  }
  await run('ip', 'link', 'add', 'uplink', 'type', 'bridge')
  await run('ip', 'link', 'set', 'uplink', 'up')
  for (const [name, address, ...others] of [
    ['outside', OUTSIDE, EXEMPT],
    ['other-node', { 4: '192.0.2.2', 6: '2001:db8::2' }, OTHER_POD],
  ] as const) {
    await run('ip', 'link', 'add', `to-${name}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
    await run('ip', 'link', 'set', `to-${name}`, 'master', 'uplink', 'up')
    await addresses(name, 'eth0', `${address[4]}/24`, `${address[6]}/64`)
    await addresses(name, 'lo', ...others.flatMap((other) => [`${other[4]}/32`, `${other[6]}/128`]))
    await route(name, OWN[0]?.text ?? '', 'via', NODE[4])
    await route(name, OWN[1]?.text ?? '', 'via', NODE[6])
  }
  await addresses(undefined, 'uplink', `${NODE[4]}/24`, `${NODE[6]}/64`)
  for (const family of [4, 6] as const) {
    await route(undefined, EXEMPT[family], 'via', OUTSIDE[family])
    await route(undefined, OTHER_POD[family], 'via', family === 4 ? '192.0.2.2' : '2001:db8::2')
    // So that the other node's pod speaks with its own address.
    await route('other-node', POD[family], 'via', NODE[family], 'src', OTHER_POD[family])
  }
  await run('ip', 'link', 'add', 'to-pod', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'pod')
  await addresses(undefined, 'to-pod', `${GATEWAY[4]}/32`, `${GATEWAY[6]}/64`)
  await addresses('pod', 'eth0', `${POD[4]}/32`, `${POD[6]}/128`)
  for (const family of [4, 6] as const) {
    await route(undefined, POD[family], 'dev', 'to-pod')
    await route('pod', 'default', 'via', GATEWAY[family], 'dev', 'eth0', 'onlink')
  }
}

async function addresses(netns: string | undefined, link: string, ...all: string[]): Promise<void> {
  const on = netns ? ['-n', netns] : []
  for (const address of all)
    await run('ip', ...on, 'address', 'add', address, 'dev', link, ...(address.includes(':') ? ['nodad'] : []))
  await run('ip', ...on, 'link', 'set', link, 'up')
}

async function route(netns: string | undefined, to: string, ...how: string[]): Promise<void> {
  const family = [to, ...how].some((word) => word.includes(':')) ? '-6' : '-4'
  await run('ip', ...(netns ? ['-n', netns] : []), family, 'route', 'replace', to, ...how)
}
