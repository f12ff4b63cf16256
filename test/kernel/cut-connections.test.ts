import t from 'tap'
import { cutConnections } from '../../agent/enforcement/cut-connections.ts'
import { attribute, nested } from '../../agent/kernel/attributes.ts'
import { type ConntrackEntry, deleteConntrack } from '../../agent/kernel/conntrack.ts'
import { streamConntrack } from '../../agent/kernel/conntrack-stream.ts'
import type { NetlinkRequest } from '../../agent/kernel/message.ts'
import { Netlink } from '../../agent/kernel/netlink.ts'
import { NETLINK_PROTOCOL } from '../../agent/kernel/netlink-socket.ts'
import { CUT_CONNECTION_MARK } from '../../agent/ownership.ts'
import type { Flow } from '../../agent/policy/flow.ts'
import { until } from './agent.ts'
import { enterScratchNode, run } from './scratch.ts'
import { Talk } from './talk.ts'
import { NODE_ADDRESS, wirePods } from './wired-pods.ts'

/*
 * A pod's rules were tightened while it had connections. The rules here are the part of the real ones that is about that:
 * what carries the mark is dropped, what is established passes, and from client to server nothing new may begin any more.
 */
await enterScratchNode()
const { client, server, other } = await wirePods('client', 'server', 'other')
const netlink = new Netlink(NETLINK_PROTOCOL.netfilter)
t.after(() => netlink.close())

const PORT = 4002
const SERVICE = { 4: '10.96.0.1', 6: 'fd96::1' } as const
/** A bit of the mark that another program has set. */
const FOREIGN_MARK = 0x2

await run(
  'nft',
  `
  table inet test {
    counter cut { }
    counter denied { }
    set denied4 { type ipv4_addr . ipv4_addr; }
    set denied6 { type ipv6_addr . ipv6_addr; }
    chain forward {
      type filter hook forward priority filter - 5; policy accept;
      ct mark & ${CUT_CONNECTION_MARK} != 0 counter name cut drop
      ct state established,related accept
      ip saddr . ip daddr @denied4 counter name denied drop
      ip6 saddr . ip6 daddr @denied6 counter name denied drop
      ct mark set ${FOREIGN_MARK}
    }
    chain services {
      type nat hook prerouting priority dstnat;
      ip daddr ${SERVICE[4]} tcp dport 80 dnat to ${server[4]}:${PORT}
      ip6 daddr ${SERVICE[6]} tcp dport 80 dnat to [${server[6]}]:${PORT}
    }
    chain masquerading {
      type nat hook postrouting priority srcnat;
      ip saddr ${client[4]} ip daddr ${server[4]} tcp dport ${PORT} ct original ip daddr ${SERVICE[4]} masquerade
    }
  }`,
)

const ALL = new Set([client, server].flatMap((pod) => [pod[4], pod[6]]))
const nobody = { addresses: ALL, isAllowed: () => false }
const everybody = { addresses: ALL, isAllowed: () => true }

const entries = async () => {
  const found: Pick<ConntrackEntry, 'original' | 'mark'>[] = []
  await streamConntrack(netlink, ({ original, mark }) => found.push({ original, mark }))
  return found
}
const packets = async (counter: string): Promise<number> =>
  Number(/packets (\d+)/.exec(await run('nft', 'list', 'counter', 'inet', 'test', counter))?.[1])

/** Nothing is heard any more while packets are sent; what was on the way when the connection was cut may still be. */
async function isSilent(talk: Talk): Promise<void> {
  await until('nothing is heard', async () => {
    const { heard } = talk
    const dropped = await packets('cut')
    await until('packets are dropped', async () => (await packets('cut')) >= dropped + 4)
    return talk.heard.caller === heard.caller && talk.heard.called === heard.called
  })
}

async function deny(family: 4 | 6): Promise<void> {
  await run('nft', `add element inet test denied${family} { ${client[family]} . ${server[family]} }`)
}

/** @returns how many there were */
async function deleteAll(): Promise<number> {
  const deletions: NetlinkRequest[] = []
  await streamConntrack(netlink, (entry) => deletions.push(deleteConntrack(entry)))
  return (await netlink.trySend(deletions)).length
}

t.afterEach(async () => {
  for (const family of [4, 6]) await run('nft', 'flush', 'set', 'inet', 'test', `denied${family}`)
  await deleteAll()
})

for (const family of [4, 6] as const)
  for (const protocol of ['tcp', 'udp'] as const) {
    t.test(`IPv${family}, ${protocol}: what is deleted only is made anew by the end that was called`, async (t) => {
      const talk = await Talk.start(protocol, client.name, server.name, server[family])
      t.teardown(() => talk.end())
      await deny(family)
      t.ok((await deleteAll()) > 0)
      await talk.goesOn()
      t.match(await entries(), [{ original: { source: server[family], destination: client[family] } }])
    })

    t.test(
      `IPv${family}, ${protocol}: what is cut is silent in both directions, until it is allowed again`,
      async (t) => {
        const talk = await Talk.start(protocol, client.name, server.name, server[family])
        t.teardown(() => talk.end())
        await deny(family)
        t.same(await cutConnections(netlink, nobody), { cut: 1, joined: 0 })
        await isSilent(talk)
        t.match(await entries(), [{ original: { source: client[family] }, mark: CUT_CONNECTION_MARK | FOREIGN_MARK }])
        t.same(await cutConnections(netlink, nobody), { cut: 0, joined: 0 }, 'what is cut stays so')
        t.same(await cutConnections(netlink, everybody), { cut: 0, joined: 1 })
        await talk.goesOn()
        t.match(await entries(), [{ original: { source: client[family] }, mark: FOREIGN_MARK }])
      },
    )
  }

t.test('a connection is judged by who called whom, and each by itself', async (t) => {
  const talks = await Promise.all([
    Talk.start('tcp', client.name, server.name, server[4]),
    Talk.start('udp', client.name, server.name, server[4]),
    Talk.start('tcp', server.name, client.name, client[6]),
  ])
  t.teardown(() => Promise.all(talks.map((talk) => talk.end())))
  const asked: Flow[] = []
  const isAllowed = (flow: Flow) => {
    asked.push(flow)
    return flow.protocol !== 'TCP' || flow.source !== client[4]
  }
  t.same(await cutConnections(netlink, { addresses: new Set([server[4], server[6]]), isAllowed }), {
    cut: 1,
    joined: 0,
  })
  t.same(
    new Set(asked.map((flow) => JSON.stringify(flow))),
    new Set(
      [
        { source: client[4], destination: server[4], protocol: 'TCP', destinationPort: PORT },
        { source: client[4], destination: server[4], protocol: 'UDP', destinationPort: PORT },
        { source: server[6], destination: client[6], protocol: 'TCP', destinationPort: PORT },
      ].map((flow) => JSON.stringify(flow)),
    ),
  )
  await isSilent(talks[0])
  await talks[1].goesOn()
  await talks[2].goesOn()
})

for (const family of [4, 6] as const)
  t.test(`IPv${family}: through a Service, it is a connection to the pod behind it, from the pod itself`, async (t) => {
    const via = { address: SERVICE[family], port: 80 }
    const talk = await Talk.start('tcp', client.name, server.name, server[family], via)
    t.teardown(() => talk.end())
    const asked: Flow[] = []
    const isAllowed = (flow: Flow) => asked.push(flow) === 0
    t.same(await cutConnections(netlink, { addresses: new Set([server[family]]), isAllowed }), { cut: 1, joined: 0 })
    t.same(asked, [{ source: client[family], destination: server[family], protocol: 'TCP', destinationPort: PORT }])
    await isSilent(talk)
  })

t.test('connections of other pods are not asked about', async (t) => {
  const talk = await Talk.start('tcp', client.name, server.name, server[4])
  t.teardown(() => talk.end())
  const isAllowed = () => t.fail('asked')
  t.same(await cutConnections(netlink, { addresses: new Set([other[4], other[6]]), isAllowed }), { cut: 0, joined: 0 })
  await talk.goesOn()
})

t.test('a pod and its own node are never cut, whatever the answer is', async (t) => {
  const talks = await Promise.all([
    Talk.start('tcp', undefined, server.name, server[4]),
    Talk.start('udp', undefined, server.name, server[6]),
    Talk.start('tcp', client.name, undefined, NODE_ADDRESS[6]),
    Talk.start('udp', client.name, undefined, NODE_ADDRESS[4]),
  ])
  t.teardown(() => Promise.all(talks.map((talk) => talk.end())))
  await cutConnections(netlink, nobody)
  for (const talk of talks) await talk.goesOn()
})

t.test('more connections than are changed at once are all cut', async (t) => {
  const count = 12_000
  const requests = Array.from({ length: count }, (_, index) => newEntry(1 + index))
  await netlink.send(requests)
  t.same(await cutConnections(netlink, { addresses: new Set(['10.42.0.99']), isAllowed: () => false }), {
    cut: count,
    joined: 0,
  })
  t.ok((await entries()).every(({ mark }) => mark === CUT_CONNECTION_MARK))
})

/** IPCTNL_MSG_CT_NEW with NLM_F_CREATE, of UDP: what `conntrack -I` sends. */
function newEntry(port: number) {
  const be = (type: number, bytes: 2 | 4, value: number) => {
    const payload = Buffer.alloc(bytes)
    payload.writeUIntBE(value, 0, bytes)
    return attribute(type, payload)
  }
  const [here, there] = [Buffer.from([10, 42, 0, 99]), Buffer.from([198, 51, 100, 1])]
  const tuple = (type: number, from: Buffer, to: Buffer, ports: [number, number]) =>
    nested(
      type,
      nested(1, attribute(1, from), attribute(2, to)),
      nested(2, attribute(1, Buffer.from([17])), be(2, 2, ports[0]), be(3, 2, ports[1])),
    )
  const tuples = [tuple(1, here, there, [port, 53]), tuple(2, there, here, [53, port])]
  const body = Buffer.concat([Buffer.from([2, 0, 0, 0]), ...tuples, be(7, 4, 600)])
  return { name: `conntrack create ${port}`, type: 0x100, flags: 0x400, body }
}
