import { closeSync, openSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { DirectNetlink } from '../../agent/kernel/direct-netlink.ts'
import { KernelError } from '../../agent/kernel/errors.ts'
import { receiveNow, receiveUntil, sendNow } from '../../agent/kernel/exchange.ts'
import { bind } from '../../agent/kernel/libc.ts'
import { deleteLink, getLink, listLinks, parseLink, setLinkAlias, setLinkGroup } from '../../agent/kernel/links.ts'
import { Netlink, NetlinkEvents } from '../../agent/kernel/netlink.ts'
import { netlinkDescriptors, portOf } from '../../agent/kernel/netlink-socket.ts'
import { NETLINK_CAP_ACK, SOL_NETLINK } from '../../agent/kernel/socket-options.ts'
import { until } from './agent.ts'
import { enterScratchNode } from './scratch.ts'

await enterScratchNode()
const LOOPBACK = 1
const ROUTE = 0

const socket = bind<[number, number, number]>('int socket(int domain, int type, int protocol)')
const sendto = bind<[number, Buffer, number, number, Buffer, number]>(
  'intptr_t sendto(int fd, const uint8_t *bytes, size_t length, int flags, const uint8_t *address, uint32_t addressLength)',
)
const setsockopt = bind<[number, number, number, Buffer, number]>(
  'int setsockopt(int fd, int level, int name, const uint8_t *value, uint32_t length)',
)

/** One that the kernel refuses, and whose refusal nobody waits for; without NETLINK_CAP_ACK it comes back as a whole. */
function senseless(bytes = 16, sequence = 0): Buffer {
  const message = Buffer.alloc(bytes)
  message.writeUInt32LE(bytes)
  message.writeUInt16LE(0xfff0, 4)
  message.writeUInt16LE(5, 6) // REQUEST, ACK
  message.writeUInt32LE(sequence, 8)
  return message
}

function descriptorOf<T>(make: () => T): [T, number] {
  const others = netlinkDescriptors(ROUTE)
  const made = make()
  return [made, netlinkDescriptors(ROUTE).find((fd) => !others.includes(fd)) ?? -1]
}

t.test('all answers of a large batch come, and those in the middle that are refused are told', async (t) => {
  const netlink = new Netlink()
  const requests = Array.from({ length: 250 }, (_, i) =>
    i % 50 === 49 ? deleteLink(1_000_000) : setLinkGroup(LOOPBACK, 0),
  )
  const outcomes = await netlink.trySend(requests)
  t.equal(outcomes.length, 250)
  t.same(
    outcomes.flatMap((outcome, i) => (outcome instanceof KernelError ? [[i, outcome.errno]] : [])),
    [49, 99, 149, 199, 249].map((i) => [i, 'ENODEV']),
  )
  t.ok(outcomes.every((outcome) => outcome instanceof KernelError || outcome.length === 0))
  netlink.close()
})

t.test('what is kept of an answer is its own, whatever is received afterwards', async (t) => {
  const netlink = new Netlink()
  const [[kept] = []] = await netlink.send([getLink('lo')])
  await netlink.send([setLinkAlias(LOOPBACK, 'x'.repeat(200))])
  for (let i = 0; i < 40; i++) await netlink.send([getLink('lo')])
  t.equal(kept && parseLink(kept).alias, '')
  await netlink.send([setLinkAlias(LOOPBACK, '')])
  netlink.close()
})

t.test('a listing and requests on one socket do not take each other’s answers', async (t) => {
  const netlink = new Netlink()
  const [links, outcomes] = await Promise.all([
    listLinks(netlink),
    netlink.trySend(Array.from({ length: 40 }, () => getLink('lo'))),
  ])
  t.same(
    links.map(({ name }) => name),
    ['lo'],
  )
  t.ok(outcomes.every((outcome) => Array.isArray(outcome) && outcome.length === 1))
  netlink.close()
})

t.test('a large batch lets others have their turn', async (t) => {
  const netlink = new Netlink()
  let turns = 0
  const clock = setInterval(() => turns++, 0)
  await netlink.trySend(Array.from({ length: 3_000 }, () => setLinkGroup(LOOPBACK, 0)))
  clearInterval(clock)
  t.ok(turns > 0)
  netlink.close()
})

t.test('a socket that no event loop knows gives the same answers', async (t) => {
  const netlink = new DirectNetlink()
  const [shown, refused] = await netlink.trySend([getLink('lo'), deleteLink(1_000_000)])
  t.equal(Array.isArray(shown) && shown[0] && parseLink(shown[0]).name, 'lo')
  t.match(refused, { errno: 'ENODEV', request: 'link delete 1000000' })
  await t.rejects(netlink.send([deleteLink(1_000_000)]), KernelError)
  netlink.close()
})

t.test('a socket that was closed says so', async (t) => {
  const netlink = new Netlink()
  netlink.close()
  t.match(await netlink.trySend([getLink('lo')]), [{ errno: 'EBADF' }])
  await sleep(1) // its descriptor goes a moment later
})

t.test('what cannot be received says why, and is not taken for nothing', async (t) => {
  const fd = openSync('/dev/null', 'r')
  t.throws(() => receiveNow(fd), { code: 'SYSTEM', message: 'recvmmsg: ENOTSOCK' })
  closeSync(fd)
})

t.test('nothing that waits is no error', async (t) => {
  const fd = socket(16, 3, ROUTE)
  t.strictSame(receiveNow(fd), { count: 0, datagrams: [], truncated: 0 })
  closeSync(fd)
})

t.test('a message that is too long is told, and those behind it come', async (t) => {
  const fd = socket(16, 3, ROUTE)
  sendNow(fd, senseless(40_000))
  sendNow(fd, senseless())
  let taken = 0
  t.throws(
    () =>
      receiveUntil(
        fd,
        () => taken === 1,
        () => taken++,
      ),
    RangeError,
  )
  t.equal(taken, 1)
  closeSync(fd)
})

t.test('what another process sends does not hide the answer behind it', async (t) => {
  const [netlink, fd] = descriptorOf(() => new DirectNetlink())
  await netlink.send([getLink('lo')]) // it has a port from now on
  const stranger = socket(16, 3, ROUTE)
  const address = Buffer.alloc(12)
  address.writeUInt16LE(16)
  address.writeUInt32LE(portOf(fd) ?? 0, 4)
  for (let i = 0; i < 80; i++) sendto(stranger, senseless(), 16, 0, address, address.length)
  t.strictSame(receiveNow(fd), { count: 32, datagrams: [], truncated: 0 }, 'a whole batch of theirs')
  t.match(await netlink.trySend([deleteLink(1_000_000)]), [{ errno: 'ENODEV' }])
  closeSync(stranger)
  netlink.close()
})

t.test('whoever fails at a message does not lose the answers behind it', async (t) => {
  const onMessage = () => {
    throw new Error('cannot be read')
  }
  const [netlink, fd] = descriptorOf(() => new Netlink(ROUTE, { onMessage, bufferBytes: 64 * 1024 }))
  const listing = listLinks(netlink)
  await null // it is on its way
  sendNow(fd, senseless())
  await t.rejects(netlink.trySend([getLink('lo')]), { message: 'cannot be read' })
  t.same(
    (await listing).map(({ name }) => name),
    ['lo'],
  )
  netlink.close()
})

t.test('an event that is too long is a gap', async (t) => {
  let [messages, gaps] = [0, 0]
  const listener = { onMessage: () => messages++, onGap: () => gaps++ }
  const [events, fd] = descriptorOf(() => new NetlinkEvents([1], [listener]))
  setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, Buffer.alloc(4), 4)
  sendNow(fd, senseless())
  sendNow(fd, senseless(40_000))
  sendNow(fd, senseless())
  const alive = setInterval(() => {}, 1_000) // the socket alone keeps nobody alive
  await until('it is told', () => messages === 2)
  clearInterval(alive)
  t.equal(gaps, 1)
  events.close()
})
