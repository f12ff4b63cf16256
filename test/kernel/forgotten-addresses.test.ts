import pino from 'pino'
import t from 'tap'
import { ForgottenAddresses, forgetAddresses } from '../../agent/enforcement/forgotten-addresses.ts'
import type { Tuple } from '../../agent/kernel/conntrack.ts'
import { streamConntrack } from '../../agent/kernel/conntrack-stream.ts'
import { Netlink } from '../../agent/kernel/netlink.ts'
import { NETLINK_PROTOCOL } from '../../agent/kernel/netlink-socket.ts'
import { until } from './agent.ts'
import { enterScratchNode, run } from './scratch.ts'
import { Talk } from './talk.ts'
import { wirePods } from './wired-pods.ts'

await enterScratchNode()
const { client, former, next } = await wirePods('client', 'former', 'next')
const netlink = new Netlink(NETLINK_PROTOCOL.netfilter)
t.after(() => netlink.close())
const silent = pino({ level: 'silent' })

const PORT = 4002
const SERVICE = '10.96.0.1'
/** A Service in front of one pod, and a node that speaks for its pods to the outside, as kube-proxy and we have it. */
await run(
  'nft',
  `
  table inet test {
    counter reached { }
    chain services {
      type nat hook prerouting priority dstnat;
    }
    chain masquerading {
      type nat hook postrouting priority srcnat;
      ip6 saddr ${former[6]} masquerade
    }
    chain forward {
      type filter hook forward priority filter;
      ip daddr ${next[4]} counter name reached
    }
  }`,
)

async function pointService(address: string): Promise<void> {
  await run('nft', 'flush', 'chain', 'inet', 'test', 'services')
  const rule = `ip daddr ${SERVICE} udp dport 80 dnat ip to ${address}:${PORT}`
  await run('nft', 'add', 'rule', 'inet', 'test', 'services', rule)
}

t.beforeEach(() => pointService(former[4]))

/** Everybody that a connection is of. */
const parties = async () => {
  const found: string[] = []
  const of = ({ source, destination }: Tuple) => [source, destination]
  await streamConntrack(netlink, ({ original, reply }) => found.push(...of(original), ...of(reply)))
  return new Set(found)
}

/** Connections that stay behind: the ends are gone, and nobody said goodbye. */
async function leaveConnections(): Promise<void> {
  const talks = await Promise.all([
    Talk.start('udp', client.name, former.name, former[4], { address: SERVICE, port: 80 }),
    Talk.start('tcp', former.name, client.name, client[6]),
    Talk.start('tcp', client.name, next.name, next[4]),
    Talk.start('udp', next.name, client.name, client[6]),
  ])
  await Promise.all(talks.map((talk) => talk.end()))
}

t.test('all connections of an address go, the translated ones among them, and nobody else’s', async (t) => {
  await leaveConnections()
  for (const address of [former[4], former[6], SERVICE, next[4], next[6]]) t.ok((await parties()).has(address), address)
  await forgetAddresses(netlink, (address) => address === former[4] || address === former[6])
  const left = await parties()
  for (const address of [former[4], former[6], SERVICE]) t.notOk(left.has(address), address)
  for (const address of [next[4], next[6], client[4], client[6]]) t.ok(left.has(address), address)
})

t.test('a flow that a Service once sent to the address goes where the Service points now', async (t) => {
  const talk = await Talk.start('udp', client.name, former.name, former[4], { address: SERVICE, port: 80 })
  t.teardown(() => talk.end())
  await pointService(next[4])
  const reached = async () => /packets (\d+)/.exec(await run('nft', 'list', 'counter', 'inet', 'test', 'reached'))?.[1]
  const before = await reached()
  await talk.goesOn()
  t.equal(await reached(), before, 'as long as it speaks, it is sent there still')
  await forgetAddresses(netlink, (address) => address === former[4])
  await until('the other pod is reached', async () => (await reached()) !== before)
})

t.test('what is freed is forgotten soon, and in any case before it is given out', async (t) => {
  await leaveConnections()
  const forgotten = new ForgottenAddresses(netlink, silent)
  forgotten.freed([former[4]])
  await until('it is forgotten', async () => !(await parties()).has(former[4]))
  t.ok((await parties()).has(former[6]))

  forgotten.freed([former[6]])
  await forgotten.settled([former[6]])
  t.notOk((await parties()).has(former[6]))
  t.ok((await parties()).has(next[4]))
})

t.test('who asks while an address is being forgotten waits until it is', async (t) => {
  await leaveConnections()
  const forgotten = new ForgottenAddresses(netlink, silent)
  forgotten.freed([former[4], former[6]])
  const walk = forgotten.flush()
  await forgotten.settled([former[4]])
  t.notOk((await parties()).has(former[4]))
  await walk
})

t.test(
  'what had gone before the start is forgotten before its address is given out, and soon in any case',
  async (t) => {
    const isOwnerless = (address: string) => address === former[4] || address === former[6]
    await leaveConnections()
    const early = new ForgottenAddresses(netlink, silent)
    early.begin(isOwnerless)
    await early.settled([next[4]])
    t.ok((await parties()).has(former[4]), 'nobody waits for what others have left')
    await early.settled([former[6]])
    t.notOk((await parties()).has(former[4]))
    await leaveConnections()
    await early.settled([former[6]])
    t.ok((await parties()).has(former[4]), 'what begins later is its own')
    const late = new ForgottenAddresses(netlink, silent)
    late.begin(isOwnerless)
    await until('it is forgotten', async () => !(await parties()).has(former[4]))
    t.ok((await parties()).has(next[4]))
  },
)

t.test('an address whose connections cannot be deleted is not settled, and it is logged', async (t) => {
  const lines: string[] = []
  const log = pino({}, { write: (line) => lines.push(line) })
  const closed = new Netlink(NETLINK_PROTOCOL.netfilter)
  closed.close()
  const forgotten = new ForgottenAddresses(closed, log)
  forgotten.freed([former[4]])
  await t.rejects(forgotten.settled([former[4]]), { code: 'KERNEL', errno: 'EBADF' })
  await t.rejects(forgotten.settled([former[4]]), { code: 'KERNEL' }, 'nor the next time')
  await t.resolves(forgotten.settled([next[4]]), 'for another address nobody waits')
  t.match(JSON.parse(lines[0] ?? '{}'), {
    msg: 'cannot delete connections of freed addresses; trying again',
    addresses: 1,
  })
})

t.test('what fails again and again is told once', async (t) => {
  const lines: string[] = []
  const ended = new Netlink(NETLINK_PROTOCOL.netfilter)
  ended.close()
  const forgotten = new ForgottenAddresses(ended, pino({ level: 'error' }, { write: (line) => lines.push(line) }))
  forgotten.freed([former[4]])
  for (let time = 0; time < 3; time++) await t.rejects(forgotten.flush())
  t.equal(lines.length, 1)
})
