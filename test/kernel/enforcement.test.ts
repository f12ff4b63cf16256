import pino from 'pino'
import t from 'tap'
import { Nftables } from '../../agent/kernel/nftables.ts'
import { until } from './agent.ts'
import { EnforcementLab, newLeases } from './enforcement-lab.ts'
import { enterScratchNode, run } from './scratch.ts'

/** What happens between two steps of the loop that keeps policies in the kernel: failures, races, and a cluster that is silent. */

await enterScratchNode()
const nft = Nftables.load()
const labs: EnforcementLab[] = []
t.afterEach(async () => {
  await Promise.all(labs.splice(0).map(({ enforcement }) => enforcement.close()))
  await run('nft', 'flush', 'ruleset')
})
/** In the agent its sockets keep the process alive. */
const alive = setInterval(() => {}, 60_000)
t.teardown(() => {
  clearInterval(alive)
  return nft.close()
})

const DENY = { podSelector: {} }
const FRIENDS = { podSelector: {}, ingress: [{ from: [{ podSelector: { matchLabels: { is: 'friend' } } }] }] }

function labOf(
  ...settings: ConstructorParameters<typeof EnforcementLab> extends [unknown, ...infer Rest] ? Rest : never
) {
  const lab = new EnforcementLab(nft, ...settings)
  labs.push(lab)
  return lab
}

/** With two pods under a policy that lets friends in, of whom b is one. */
async function running(...settings: Parameters<typeof labOf>) {
  const lab = labOf(...settings)
  lab.source.policy('friends', FRIENDS)
  for (const name of ['a', 'b']) lab.source.pod(name, name === 'b' ? { is: 'friend' } : {})
  lab.enforcement.setNodes(new Map())
  lab.enforcement.start()
  const [a, b] = [await lab.add('a'), await lab.add('b')]
  return { lab, a, b }
}

/** An agent has run, and the next one hears nothing of the cluster. */
async function silent(...settings: Parameters<typeof labOf>) {
  const { lab: earlier, a, b } = await running(...settings)
  await earlier.enforcement.close()
  const lab = labOf({ ...settings[0], leases: earlier.leases })
  lab.enforcement.start()
  return { lab, a, b, before: await earlier.text() }
}

t.test('while the cluster is silent, what the last agent left stays, and pods that come are closed', async (t) => {
  const { lab, a, before } = await silent()
  const old = await lab.chainOf(a.addresses[0])
  const c = await lab.add('c')
  t.equal(await lab.chainOf(c.addresses[0]), 'unknown-in')
  t.equal(await lab.chainOf(a.addresses[0]), old)
  const now = (await lab.text()).split('\n')
  const missing = before.split('\n').filter((line) => !now.includes(line))
  t.same(missing, [])
})

t.test('or open, as it was asked for; and so is a container that no Kubernetes has', async (t) => {
  const { lab } = await silent({ failsOpen: true })
  for (const name of ['c', '']) {
    const { addresses } = await lab.add(name)
    t.equal(await lab.chainOf(addresses[0]), undefined)
    t.match([...(await lab.elements('set', 'links4')).keys()].join(), addresses[0], 'and it may send')
  }
})

t.test('an address that is given again while the cluster is silent has nothing of its last owner', async (t) => {
  const { lab, a } = await silent({ leases: newLeases('10.42.0.0/30') }) // three addresses
  await lab.add('c')
  lab.delete(a)
  const container = await lab.add('')
  t.same(container.addresses, a.addresses)
  t.equal(await lab.chainOf(a.addresses[0]), undefined)
  lab.delete(container)
  const d = await lab.add('d')
  t.same(d.addresses, a.addresses)
  t.equal(await lab.chainOf(a.addresses[0]), 'unknown-in')
  t.equal((await lab.elements('set', 'links4')).size, 3)
})

t.test('hard case 10: what goes while the cluster is silent is forgotten, too', async (t) => {
  const { lab, a } = await silent()
  lab.delete(a)
  await until('it is forgotten', () => lab.freed.length > 0)
  t.same(lab.freed, a.addresses)
  await until('its rules are gone', async () => (await lab.chainOf(a.addresses[0])) === undefined)
})

t.test(
  'a pod of another node that claims an address of this one is let in nowhere by it, and told of once',
  async (t) => {
    const lines: string[] = []
    const log = pino({ level: 'warn' }, { write: (line: string) => lines.push(line) })
    const { lab, a } = await running({ log })
    lab.source.pod('liar', { is: 'friend' }, { nodeName: 'n2', addresses: a.addresses })
    await until('it is told', () => lab.enforcement.problems.length > 0)
    t.match(lab.enforcement.problems, [/^Pod x\/liar: status\.podIPs: 10\.42\.0\.\d+ is that of a pod on this node/])
    lab.source.pod('c', {})
    await lab.add('c')
    t.equal(lines.filter((line) => line.includes('Pod x/liar')).length, 1)
    t.equal(await lab.difference(), undefined)
    const named = [...(lab.enforcement.table?.sets.values() ?? [])].filter(({ name }) => name.startsWith('pods4-'))
    t.equal(named.length, 1)
    t.notOk(named[0]?.elements.has(String(a.addresses[0])))
    lab.source.pod('liar', undefined)
    await until('it is told no more', () => lab.enforcement.problems.length === 0)
  },
)

t.test(
  'hard case 8: the table is deleted while the cluster is silent: all that is unknown is closed, and it is told',
  async (t) => {
    const { lab, a } = await silent()
    await until('it has seen the table', () => lab.nft.looks > 0)
    await run('nft', 'flush', 'ruleset')
    lab.enforcement.lookAgain('rules')
    await until('closed', async () => (await lab.chainOf(a.addresses[0])) === 'unknown-in')
    t.match(lab.repaired, [/gone/])
    t.notMatch(lab.enforcement.problems.join('\n'), /another program/, 'and is history')
  },
)

t.test('a pod that waits while the kernel fails others is not let in without rules', async (t) => {
  const { lab } = await silent()
  const waiting = lab.leases.reserve({ containerId: 'w', ifname: 'eth0', network: 'n', pod: 'x/w' })
  lab.nft.failures = 1
  lab.enforcement.forget()
  await until('a pass has failed', () => lab.enforcement.problems.some((text) => text.includes('no memory')))
  await lab.enforcement.admit(waiting, new AbortController().signal)
  t.equal(await lab.chainOf(waiting.addresses[0]), 'unknown-in')
})

t.test('what went in a pass that failed is forgotten in the next', async (t) => {
  const { lab, a } = await running()
  lab.nft.failures = 3 // the change, what differs from it, and the table anew
  lab.delete(a)
  await until('it has failed', () => lab.enforcement.problems.length > 0)
  t.match(lab.enforcement.problems, ['policies cannot be brought into the kernel: the kernel has no memory'])
  t.same(lab.freed, [])
  await until('it is forgotten', () => lab.freed.length > 0)
  t.same(lab.freed, a.addresses)
  t.same(lab.enforcement.problems, [])
  t.equal(await lab.difference(), undefined)
})

t.test('hard case 8: damage that could not be looked for is found later', async (t) => {
  const { lab } = await running()
  lab.nft.lookFailures = 1
  await run('nft', 'flush', 'map', 'inet', 'bramble-policy', 'ingress4')
  lab.enforcement.lookAgain('everything')
  await until('the look has failed', () => lab.enforcement.problems.length > 0)
  await until('whole again', async () => (await lab.difference()) === undefined)
  t.same((await lab.elements('map', 'ingress4')).size, 2)
})

t.test('the table is deleted between two passes, and in the middle of one: the next pod finds it whole', async (t) => {
  const { lab, a } = await running()
  await run('nft', 'delete', 'table', 'inet', 'bramble-policy')
  lab.source.pod('c', {})
  await lab.add('c')
  t.equal(await lab.difference(), undefined)
  let harms = 2
  lab.nft.meanwhile = async () => {
    if (harms-- > 0) await run('nft', 'flush', 'ruleset')
  }
  lab.source.pod('d', {})
  await lab.add('d')
  t.equal(await lab.difference(), undefined)
  t.type(await lab.chainOf(a.addresses[0]), 'string')
})

t.test('leases that come and go while a pass runs are in the next one', async (t) => {
  const { lab, a } = await running()
  for (const name of ['c', 'd']) lab.source.pod(name, {})
  const added: Promise<unknown>[] = []
  let isFirst = true
  lab.nft.meanwhile = () => {
    if (!isFirst) return
    isFirst = false
    lab.delete(a)
    added.push(lab.add('d'))
  }
  await lab.add('c')
  await Promise.all(added)
  await until('a is gone', () => lab.freed.length > 0)
  t.equal(await lab.difference(), undefined)
  t.equal((await lab.elements('map', 'ingress4')).size, 3)
})

t.test('who asks for entry when the agent ends is not let in without rules', async (t) => {
  const { lab } = await running()
  const lease = lab.leases.reserve({ containerId: 'late', ifname: 'eth0', network: 'n', pod: 'x/a' })
  const closed = lab.enforcement.close()
  await t.rejects(lab.enforcement.admit(lease, new AbortController().signal), /the agent ends/)
  await closed
})

t.test(
  'hard case 2: a pod under the name of another one has nothing of its labels, whichever goes first',
  async (t) => {
    const { lab } = await running()
    lab.source.policy('friends', { podSelector: { matchLabels: { is: 'open' } }, ingress: [{}] })
    lab.source.policy('closed', { podSelector: { matchLabels: { is: 'closed' } } })
    lab.source.pod('web', { is: 'open' }, { uid: 'uid-1' })
    const first = await lab.add('web', { uid: 'uid-1' })
    const second = await lab.add('web', { uid: 'uid-2' })
    t.equal(await lab.chainOf(second.addresses[0]), 'unknown-in', 'not known yet')
    t.match(await lab.chainOf(first.addresses[0]), /^in-/)
    lab.source.pod('web', { is: 'closed' }, { uid: 'uid-2' })
    await until('the second is known', async () => (await lab.chainOf(second.addresses[0])) !== 'unknown-in')
    const chain = await lab.chainOf(second.addresses[0])
    t.equal(await lab.chainOf(first.addresses[0]), 'unknown-in', 'and the first is nobody any more')
    lab.delete(first)
    await until('the first is gone', async () => (await lab.chainOf(first.addresses[0])) === undefined)
    t.equal(await lab.chainOf(second.addresses[0]), chain)
    t.equal(await lab.difference(), undefined)
  },
)

t.test(
  'whatever happens in whatever order, failures among it, in the end the table is that from scratch',
  async (t) => {
    const { lab, a, b } = await running()
    let seed = 4
    const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below
    const live = [a, b]
    for (let step = 0; step < 300; step++) {
      const name = `p${random(6)}`
      const adding: Promise<unknown>[] = []
      switch (random(8)) {
        case 0:
        case 1:
          adding.push(
            lab.add(name).then(
              (lease) => live.push(lease),
              () => {},
            ),
          )
          break
        case 2: {
          const lease = live.splice(random(live.length), 1)[0]
          if (lease) lab.delete(lease)
          break
        }
        case 3:
          lab.source.pod(name, random(4) === 0 ? undefined : { is: ['friend', 'stranger'][random(2)] ?? '' })
          break
        case 4:
          lab.source.policy(`policy-${random(3)}`, [undefined, DENY, FRIENDS][random(3)])
          break
        case 5:
          lab.nft.failures = random(5)
          break
        case 6:
          await run(
            'nft',
            ...([
              ['flush', 'ruleset'],
              ['add', 'table', 'inet', 'other'],
            ][random(2)] as string[]),
          )
          lab.enforcement.lookAgain('rules')
          break
        case 7:
          await new Promise((resolve) => setTimeout(resolve, random(15)))
      }
      if (random(3) === 0) await Promise.all(adding)
    }
    lab.nft.failures = 0
    lab.enforcement.lookAgain()
    await until('all is well', async () => (await lab.difference()) === undefined)
    t.equal((await lab.elements('set', 'links4')).size, lab.leases.list().length)
  },
)
