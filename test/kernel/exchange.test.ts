import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { DirectNetlink } from '../../agent/kernel/direct-netlink.ts'
import { KernelError } from '../../agent/kernel/errors.ts'
import { deleteLink, getLink, listLinks, parseLink, setLinkAlias, setLinkGroup } from '../../agent/kernel/links.ts'
import { Netlink } from '../../agent/kernel/netlink.ts'
import { enterScratchNode } from './scratch.ts'

await enterScratchNode()
const LOOPBACK = 1

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
