import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { EchoSocket } from '../../agent/kernel/icmp.ts'
import { bind } from '../../agent/kernel/libc.ts'
import { measurePaths } from '../../agent/mtu/measure-paths.ts'
import { until } from './agent.ts'
import { setSysctl } from './node.ts'
import { capture, enterScratchNode, makeNetns, run } from './scratch.ts'

/**
 * This node - r1 - wide: 1500 bytes all the way.
 * This node - r1 - r2 - far: what is between the routers has NARROW_BYTES.
 * r1 swallows packets to `silent`, and refuses those to `refused`.
 */
const NARROW_BYTES = 1400
const FAMILIES = [4, 6] as const
type Family = (typeof FAMILIES)[number]
const LAN = { wide: 1, far: 2, silent: 3, refused: 4 } as const
const addressOn = (lan: keyof typeof LAN, family: Family, host = 1) =>
  family === 4 ? `10.0.${LAN[lan]}.${host}` : `fd00:${LAN[lan]}::${host.toString(16)}`
const networkOf = (lan: keyof typeof LAN, family: Family) =>
  family === 4 ? `10.0.${LAN[lan]}.0/24` : `fd00:${LAN[lan]}::/64`
const HOSTS = 30
/** A busy machine is no reason to fail. */
const ENOUGH_MS = 60_000
const LIMITS = { totalMs: ENOUGH_MS, perPathMs: ENOUGH_MS }
const OPENED_LINES = 1 // the head of /proc/net/raw

await enterScratchNode()
async function makeTopology(): Promise<void> {
  await setSysctl(undefined, 'ipv6/conf/default/accept_dad', '0') // or the first packets wait for it
  for (const name of ['r1', 'r2', 'wide', 'far']) {
    await makeNetns(name)
    await run('ip', '-n', name, 'link', 'set', 'lo', 'up')
    await setSysctl(`/run/netns/${name}`, 'ipv6/conf/default/accept_dad', '0')
    await setSysctl(`/run/netns/${name}`, 'ipv4/ip_forward', '1')
    await setSysctl(`/run/netns/${name}`, 'ipv6/conf/all/forwarding', '1')
  }
  await run('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'node', 'netns', 'r1')
  await join('', 'eth0', 'r1', 'node', 101, 1500)
  await join('r1', 'to-wide', 'wide', 'eth0', 102, 1500)
  await join('r1', 'to-r2', 'r2', 'to-r1', 103, NARROW_BYTES)
  await join('r2', 'to-far', 'far', 'eth0', 104, 1500)
  for (const family of FAMILIES) {
    const route = (netns: string, ...words: string[]) => run('ip', ...at(netns), `-${family}`, 'route', 'add', ...words)
    const end = (link: number, side: 1 | 2) => (family === 4 ? `10.0.${link}.${side}` : `fd00:${link}::${side}`)
    await route('', 'default', 'via', end(101, 2))
    await route('r1', networkOf('wide', family), 'via', end(102, 2))
    await route('r1', networkOf('far', family), 'via', end(103, 2))
    await route('r1', 'blackhole', networkOf('silent', family))
    await route('r1', 'unreachable', networkOf('refused', family))
    await route('r2', networkOf('far', family), 'via', end(104, 2))
    await route('r2', 'default', 'via', end(103, 1))
    await route('wide', 'default', 'via', end(102, 1))
    await route('far', 'default', 'via', end(104, 1))
    for (const lan of ['wide', 'far'] as const) await route(lan, 'local', networkOf(lan, family), 'dev', 'lo') // each address of it answers
  }
}

const at = (netns: string) => (netns === '' ? [] : ['-n', netns])

/** A veth pair between two namespaces, with the addresses 1 and 2 of its own network in both families. */
async function join(left: string, leftLink: string, right: string, rightLink: string, network: number, mtu: number) {
  if (left !== '')
    await run('ip', '-n', left, 'link', 'add', leftLink, 'type', 'veth', 'peer', 'name', rightLink, 'netns', right)
  for (const [netns, link, side] of [
    [left, leftLink, 1],
    [right, rightLink, 2],
  ] as const) {
    await run('ip', ...at(netns), 'address', 'add', `10.0.${network}.${side}/24`, 'dev', link)
    await run('ip', ...at(netns), 'address', 'add', `fd00:${network}::${side}/64`, 'dev', link, 'nodad')
    await run('ip', ...at(netns), 'link', 'set', link, 'mtu', String(mtu), 'up')
  }
}

await makeTopology()
await setSysctl(undefined, 'ipv4/ping_group_range', '0 0')

/** While `work` runs, r1 obeys these nft rules. */
async function withRules<T>(hook: 'output' | 'forward', rules: readonly string[], work: () => Promise<T>): Promise<T> {
  const chain = `chain c { type filter hook ${hook} priority 0; ${rules.join('; ')}; };`
  await run('ip', 'netns', 'exec', 'r1', 'nft', `table inet test { ${chain} }`)
  try {
    return await work()
  } finally {
    await run('ip', 'netns', 'exec', 'r1', 'nft', 'delete table inet test')
  }
}

/** A router whose words get lost. */
const MUTE = ['icmp type destination-unreachable drop', 'icmpv6 type packet-too-big drop']

async function measure(address: string, mostBytes = 1500) {
  const [found] = await measurePaths([{ address, mostBytes }], LIMITS)
  return found
}

/** Both families at the same time, IPv4 first. */
function measureBoth(lan: keyof typeof LAN) {
  return Promise.all(FAMILIES.map((family) => measure(addressOn(lan, family))))
}

for (const family of FAMILIES) {
  t.test(`IPv${family}: a path that is as wide as the uplink`, async (t) => {
    t.same(await measure(addressOn('wide', family)), { bytes: 1500, isBlackhole: false })
  })

  t.test(`IPv${family}: the first link counts, too, whatever the uplink is said to be`, async (t) => {
    t.same(await measure(addressOn('wide', family), 9000), { bytes: 1500, isBlackhole: false })
  })

  t.test(`IPv${family}: a narrow link in the middle is found to the byte`, async (t) => {
    t.same(await measure(addressOn('far', family)), { bytes: NARROW_BYTES, isBlackhole: false })
  })

  t.test(`IPv${family}: what the kernel has learnt of the path before does not count`, async (t) => {
    const target = addressOn('far', family)
    await measure(target)
    t.match(await run('ip', `-${family}`, 'route', 'get', target), `mtu ${NARROW_BYTES}`, 'the kernel has learnt it')
    const setWidth = async (bytes: number) => {
      await run('ip', '-n', 'r1', 'link', 'set', 'to-r2', 'mtu', String(bytes))
      await run('ip', '-n', 'r2', 'link', 'set', 'to-r1', 'mtu', String(bytes))
    }
    await setWidth(1433)
    t.same(await measure(target), { bytes: 1433, isBlackhole: false })
    await setWidth(NARROW_BYTES)
  })

  t.test(
    `IPv${family}: an answer is its own request's, also where two ask the same node at the same time`,
    async (t) => {
      const sockets = [new EchoSocket(addressOn('far', family)), new EchoSocket(addressOn('far', family))]
      const [small, large] = await withRules('output', MUTE, () =>
        Promise.all([sockets[0]?.echo(NARROW_BYTES, ENOUGH_MS), sockets[1]?.echo(NARROW_BYTES + 1, 200)]),
      )
      t.equal(small, 'answered')
      t.equal(large, 'lost')
      t.equal(await sockets[1]?.echo(NARROW_BYTES + 2, ENOUGH_MS), 'too-big', 'and so is an error')
      for (const socket of sockets) socket.close()
    },
  )

  t.test(`IPv${family}: requests come from the address that is asked for`, async (t) => {
    const [ip, source, prefixLength] = family === 4 ? ['ip', '10.0.101.77', 24] : ['ip6', 'fd00:101::77', 64]
    const path = { address: addressOn('wide', family), mostBytes: 1500 }
    const fromThere = async () => (await measurePaths([{ ...path, source }], LIMITS))[0]
    t.match(await fromThere(), {
      problem: `cannot send from ${source} (EADDRNOTAVAIL): is it an address of this node?`,
    })
    await run('ip', 'address', 'add', `${source}/${prefixLength}`, 'dev', 'eth0', ...(family === 6 ? ['nodad'] : []))
    await withRules('forward', [`${ip} daddr ${path.address} ${ip} saddr != ${source} drop`], async () => {
      t.same(await fromThere(), { bytes: 1500, isBlackhole: false })
    })
  })

  t.test(`IPv${family}: no route is told as such`, async (t) => {
    await run('ip', `-${family}`, 'route', 'add', 'unreachable', networkOf('silent', family))
    const address = addressOn('silent', family)
    t.match(await measure(address), { problem: /^no way to .* from here \(E[A-Z]+\); see: ip route get / })
    await run('ip', `-${family}`, 'route', 'delete', 'unreachable', networkOf('silent', family))
  })
}

t.test('a narrow link is found to the byte when no router says a word, too, and that is told', async (t) => {
  const narrow = { bytes: NARROW_BYTES, isBlackhole: true }
  t.same(await withRules('output', MUTE, () => measureBoth('far')), [narrow, narrow])
})

t.test('every other packet lost changes nothing', async (t) => {
  const lossy = ['icmp', 'icmpv6'].map((name) => `iifname node meta l4proto ${name} numgen inc mod 2 == 0 drop`)
  await withRules('forward', lossy, async () => {
    const wide = { bytes: 1500, isBlackhole: false }
    t.same(await measureBoth('wide'), [wide, wide])
    const narrow = { bytes: NARROW_BYTES, isBlackhole: false }
    t.same(await measureBoth('far'), [narrow, narrow])
  })
})

t.test(
  'a node that is silent is told from one that the network knows not to be there; it holds up nobody',
  async (t) => {
    const order: string[] = []
    const done = (name: string) => () => order.push(name)
    const [silent, refused] = await Promise.all([
      measureBoth('silent').finally(done('silent')),
      measureBoth('refused'),
      measureBoth('wide').finally(done('wide')),
      new Promise((resolve) => setTimeout(resolve, 1)).finally(done('a timer of somebody else')),
    ])
    for (const found of silent) t.match(found, { problem: /^does not answer echo requests/ })
    for (const found of refused) t.match(found, { problem: /^is unreachable/ })
    t.equal(order.length, 3)
    t.equal(order.at(-1), 'silent')
  },
)

/** While `work` runs, a second large packet waits for half a second before it leaves this node, and a third is lost. */
async function withSlowUplink(work: () => Promise<void>): Promise<void> {
  await run('tc', 'qdisc', 'add', 'dev', 'eth0', 'root', 'tbf', 'rate', '16kbit', 'burst', '1600', 'limit', '2000')
  await work()
  await run('tc', 'qdisc', 'delete', 'dev', 'eth0', 'root')
}

// include/uapi/linux/capability.h
const CAPABILITY_VERSION_3 = 0x2008_0522
const CAP_NET_RAW = 13
const capget = bind<[Buffer, Buffer]>('int capget(_Inout_ uint8_t *header, _Out_ uint8_t *sets)')
const capset = bind<[Buffer, Buffer]>('int capset(_Inout_ uint8_t *header, const uint8_t *sets)')

/** Runs `work` in this thread without CAP_NET_RAW in effect. */
function withoutRaw<T>(work: () => T): T {
  const header = Buffer.alloc(8) // this thread
  header.writeUInt32LE(CAPABILITY_VERSION_3)
  const before = Buffer.alloc(24)
  capget(header, before)
  const during = Buffer.from(before)
  during.writeUInt32LE((before.readUInt32LE() & ~(1 << CAP_NET_RAW)) >>> 0)
  capset(header, during)
  try {
    return work()
  } finally {
    capset(header, before)
  }
}

/** The two sockets that there are for echo requests. */
const KINDS = {
  'with CAP_NET_RAW': (address: string) => new EchoSocket(address),
  'without CAP_NET_RAW': (address: string) => withoutRaw(() => new EchoSocket(address)),
}

for (const [kind, open] of Object.entries(KINDS))
  for (const family of FAMILIES) {
    t.test(`IPv${family} ${kind}: an answer that comes late is one, for a request of the same size`, async (t) => {
      const socket = open(addressOn('wide', family))
      await withSlowUplink(async () => {
        t.equal(await socket.echo(1400, ENOUGH_MS), 'answered')
        t.equal(await socket.echo(1401, 0), 'lost', 'it waits')
        t.equal(await socket.echo(1401, ENOUGH_MS), 'answered', 'to the first, since the second is lost')
      })
      socket.close()
    })

    t.test(`IPv${family} ${kind}: an error that comes late is not taken for one of the next request`, async (t) => {
      const target = addressOn('far', family, kind === 'with CAP_NET_RAW' ? 98 : 99)
      const socket = open(target)
      await withSlowUplink(async () => {
        t.equal(await socket.echo(1300, ENOUGH_MS), 'answered')
        t.equal(await socket.echo(1450, 0), 'lost', 'it waits')
        await until('the router has complained', async () =>
          (await run('ip', `-${family}`, 'route', 'get', target)).includes(`mtu ${NARROW_BYTES}`),
        )
      })
      t.equal(await socket.echo(1300, ENOUGH_MS), 'answered')
      socket.close()
    })
  }

t.test("a firewall of this node's own is named", async (t) => {
  await run('nft', 'table inet own { chain c { type filter hook output priority 0; icmp type echo-request drop; }; }')
  t.match(await measure(addressOn('wide', 4)), { problem: /\(EPERM\); does a firewall on this node drop ICMP\?$/ })
  await run('nft', 'delete table inet own')
})

/** How many raw sockets this node has at this moment. */
const openSockets = () =>
  ['raw', 'raw6']
    .map((name) => readFileSync(`/proc/net/${name}`, 'utf8').trim().split('\n').length - OPENED_LINES)
    .reduce((a, b) => a + b)

t.test('thirty nodes are measured a few at a time, each right, and nothing is left open', async (t) => {
  const lans = ['wide', 'far', 'far', 'wide', 'wide', 'far', 'silent'] as const
  const cases = Array.from({ length: HOSTS }, (_, index) => {
    const lan = lans[index % lans.length] ?? 'wide'
    return { lan, address: addressOn(lan, index % 2 === 0 ? 4 : 6, index + 1), mostBytes: 1500 }
  })
  let most = 0
  const watch = setInterval(() => (most = Math.max(most, openSockets())), 1)
  const found = await measurePaths(cases, LIMITS)
  clearInterval(watch)
  const expected = {
    wide: { bytes: 1500 },
    far: { bytes: NARROW_BYTES },
    silent: { problem: /^does not answer/ },
    refused: {},
  }
  for (const [index, { lan, address }] of cases.entries()) t.match(found[index], expected[lan], address)
  t.equal(found.length, HOSTS)
  t.ok(most > 1 && most <= 8, `${most} sockets at once`)
  t.equal(openSockets(), 0)
})

t.test('when the time for all is over, the rest is not begun, and that is what is said', async (t) => {
  const silent = Array.from({ length: 20 }, (_, index) => ({ address: addressOn('silent', 4, index), mostBytes: 1500 }))
  const found = await measurePaths(silent, { totalMs: 500 })
  const problems = found.map((one) => ('problem' in one ? one.problem : ''))
  const begun = problems.filter((problem) => problem.startsWith('does not answer')).length
  t.equal(begun, 8)
  t.equal(problems.filter((problem) => problem.startsWith('was not measured: the 0.5 s')).length, 12)
})

t.test('no node, no result', async (t) => {
  t.same(await measurePaths([], LIMITS), [])
})

/** Measures in a process of its own, without CAP_NET_RAW. */
async function measureWithoutRaw(...addresses: string[]) {
  const module = fileURLToPath(new URL('../../agent/mtu/measure-paths.ts', import.meta.url))
  const code = `const { measurePaths } = await import(${JSON.stringify(module)})
    const paths = process.argv.slice(1).map((address) => ({ address, mostBytes: 1500 }))
    console.log(JSON.stringify(await measurePaths(paths, ${JSON.stringify(LIMITS)})))`
  const node = [process.execPath, '--input-type=module', '--eval', code, ...addresses]
  const { stdout, stderr } = await capture('setpriv', ['--bounding-set=-net_raw', ...node])
  return JSON.parse(stdout || JSON.stringify(stderr))
}

t.test('without CAP_NET_RAW it works where the group may ping, and else says what is missing', async (t) => {
  const targets = FAMILIES.flatMap((family) => [addressOn('wide', family), addressOn('far', family)])
  t.same(await measureWithoutRaw(...targets), [
    { bytes: 1500, isBlackhole: false },
    { bytes: NARROW_BYTES, isBlackhole: false },
    { bytes: 1500, isBlackhole: false },
    { bytes: NARROW_BYTES, isBlackhole: false },
  ])
  const muted = await withRules('output', MUTE, () => measureWithoutRaw(...targets))
  t.same(
    muted.map(({ bytes, isBlackhole }: { bytes: number; isBlackhole: boolean }) => [bytes, isBlackhole]),
    [1500, NARROW_BYTES, 1500, NARROW_BYTES].map((bytes) => [bytes, bytes === NARROW_BYTES]),
  )
  await setSysctl(undefined, 'ipv4/ping_group_range', '1 0')
  const missing = /^cannot open a socket for IPv\d echo requests \(E(ACCES|PERM)\); give the agent CAP_NET_RAW, or let/
  t.match(
    await measureWithoutRaw(...targets),
    targets.map(() => ({ problem: missing })),
  )
})
