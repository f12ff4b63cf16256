import t from 'tap'
import { Agent, sleep, until } from './agent.ts'
import { addUplink, link, linkNames, pings } from './node.ts'
import { Pod } from './pod.ts'
import { capture, enterScratchNode, run } from './scratch.ts'

/** hard-cases.md 15: the agent while the kernel's tables change faster than anybody can list them. */
const ROUNDS = 8
/** All namespaces share one lock for such changes (RTNL): tests beside this one need it, too. */
const PAUSE_MS = 10
/** Enough for a listing to need many reads, between which it can be interrupted. */
const STANDING_LINKS = 150
const STANDING_ADDRESSES = 1_000

await enterScratchNode()
await addUplink()
await ipBatch(Array.from({ length: STANDING_LINKS }, (_, index) => `link add standing${index} type bridge`))
await ipBatch(
  Array.from(
    { length: STANDING_ADDRESSES },
    (_, index) => `address add 198.51.${index >> 8}.${index & 255}/32 dev standing0`,
  ),
)
await ipBatch(Array.from({ length: 2_000 }, (_, index) => `route add ${testNet(index)} dev uplink`))
const agent = await Agent.start()
t.after(() => agent.stop())

t.test('hard case 15: pods come and go, and leases are compared, while listings are interrupted', async (t) => {
  const churn = startChurn()
  let interrupted = 0
  const kept: Pod[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const [pod, fleeting, differences, listing] = await Promise.all([
      Pod.add(),
      Pod.add().then(async (pod) => [(await pod.check()).exitCode, (await pod.del()).exitCode]),
      agent.ask('ipam check'),
      capture('ip', ['address', 'show']),
    ])
    kept.push(pod)
    t.strictSame(fleeting, [0, 0])
    t.strictSame(differences, [])
    if (listing.stderr.includes('Dump was interrupted')) interrupted++
  }
  await churn.stop()
  t.comment(`${interrupted} of ${ROUNDS} listings by ip(8) were interrupted, in ${churn.rounds} rounds of churn`)
  for (const pod of kept) t.match(await pod.check(), { exitCode: 0 })
  for (const pod of kept) for (const address of pod.addresses) t.ok(await pings(undefined, address))
  t.strictSame(await agent.ask('ipam check'), [])
  t.equal((await agent.ask('pods')).length, kept.length)
})

t.test('hard case 15: no listing that was interrupted is taken for whole: the MTU is that of the uplink', async (t) => {
  const churn = startChurn()
  for (const mtu of [1400, 1450, 1500]) {
    await run('ip', 'link', 'set', 'uplink', 'mtu', String(mtu))
    await until('the agent has heard of it', async () => (await agent.ask('status')).mtuBytes === mtu)
    const pod = await Pod.add()
    t.equal((await link(pod.netns, 'eth0')).mtu, mtu)
    t.match(await pod.del(), { exitCode: 0 })
  }
  await churn.stop()
})

t.test('hard case 15: events were lost (ENOBUFS): what happened meanwhile is found', async (t) => {
  const [gone, later, lives] = await Promise.all([Pod.add(), Pod.add(), Pod.add()])
  await agent.ask('status') // by then it has closed the sockets that it had in the pods, which would hold them
  agent.child.kill('SIGSTOP')
  try {
    await floodWithEvents()
    await gone.vanish()
    await until('the link is gone', async () => !(await linkNames()).includes(gone.hostLink))
    await run('ip', 'link', 'set', 'uplink', 'mtu', '1400')
  } finally {
    agent.child.kill('SIGCONT')
  }
  await addressesAreFree(gone)
  await until('the log tells', () =>
    agent.log.some(({ msg }) => msg === 'link events were lost; comparing with the kernel'),
  )
  t.equal((await Pod.add()).result.interfaces[1]?.mtu, 1400, 'the change of an uplink is found, too')
  t.match(await lives.check(), { exitCode: 0 })
  t.strictSame(await agent.ask('ipam check'), [])

  await later.vanish()
  await addressesAreFree(later)
  t.pass('and later events arrive as ever')
})

t.test('hard case 15: events are lost again and again, while pods come and go', async (t) => {
  for (let round = 0; round < 3; round++) {
    agent.child.kill('SIGSTOP')
    const added = Promise.all([Pod.add(), Pod.add(), Pod.add()])
    await floodWithEvents()
    agent.child.kill('SIGCONT')
    for (const pod of await added) t.match(await pod.check(), { exitCode: 0 })
  }
  t.strictSame(await agent.ask('ipam check'), [])
})

t.end()

async function addressesAreFree({ containerId }: Pod): Promise<void> {
  const isFree = async () => !(await agent.ask('pods')).some((pod) => pod.containerId === containerId)
  await until('the addresses are free', isFree)
}

/** Links, routes and addresses that come and go, as fast as they can, until it is stopped; it ends by itself, too. */
function startChurn(): { readonly rounds: number; stop(): Promise<void> } {
  let isStopped = false
  let rounds = 0
  const links = Array.from({ length: 10 }, (_, index) => [
    `link add churn${index} type bridge`,
    `link del churn${index}`,
  ])
  const routes = Array.from({ length: 500 }, (_, index) => testNet(5_000 + index)).flatMap((net) => [
    `route add ${net} dev uplink`,
    `route del ${net} dev uplink`,
  ])
  const addresses = Array.from({ length: 500 }, (_, index) => `203.0.${index >> 8}.${index & 255}/32`).flatMap(
    (address) => [`address add ${address} dev standing1`, `address del ${address} dev standing1`],
  )
  const repeat = async (commands: readonly string[]) => {
    for (; !isStopped && rounds < 1_000; rounds++) {
      await ipBatch(commands)
      await sleep(PAUSE_MS)
    }
  }
  const work = Promise.all([repeat(links.flat()), repeat(routes), repeat(addresses)])
  return {
    get rounds() {
      return rounds
    },
    stop: async () => {
      isStopped = true
      await work
    },
  }
}

/** 10,000 route changes: some 120 bytes each as a message, 700 in the kernel's accounts; the agent has room for 1 MiB. */
async function floodWithEvents(): Promise<void> {
  const nets = Array.from({ length: 5_000 }, (_, index) => testNet(10_000 + index))
  await ipBatch(nets.flatMap((net) => [`route add ${net} dev uplink`, `route del ${net} dev uplink`]))
}

/** @throws Error when a command fails */
async function ipBatch(commands: readonly string[]): Promise<void> {
  const { exitCode, stderr } = await capture('ip', ['-batch', '-'], `${commands.join('\n')}\n`)
  if (exitCode !== 0) throw new Error(`ip -batch: ${stderr}`)
}

/** One of many networks in 198.18.0.0/15 (RFC 2544). */
function testNet(number: number): string {
  return `198.${18 + (number >> 14)}.${(number >> 6) & 255}.${(number & 63) * 4}/30`
}
