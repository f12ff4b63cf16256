import type { Test } from 'tap'
import { type Agent, until } from '../agent.ts'
import { inside, type LabNode, podAddresses, withdraw } from '../cluster.ts'
import { run } from '../scratch.ts'
import { fragments, N1, N2, N3, NODES, objectsOf, pod, unanswered, unreached } from './lab.ts'
import { Pings } from './pings.ts'
import { Web } from './web.ts'

/** What differs from mode to mode. */
export interface Mode {
  /** Of pods, in bytes. */
  readonly mtuBytes: number
  /** By name, in bytes. */
  readonly links: Readonly<Record<string, number>>
  /** Running ones, by the node's name. */
  readonly agents: Map<string, Agent>
  readonly start: (node: LabNode) => Promise<Agent>
  /** Writes the node's manifest. */
  readonly announce: (node: LabNode, address?: string) => void
}

/** Some hundred packets: enough for any that would not fit, and an emulated processor encrypts a few megabytes a second. */
const CONTENT_BYTES = 400_000

/** What is promised of every mode, told by real pods. Leaves the cluster as it was. */
export function keepsPromises(t: Test, mode: Mode): void {
  const { mtuBytes, links, agents, start, announce } = mode

  t.test('every pod reaches every other one, with packets as large as the MTU, in both families', async (t) => {
    t.same(await unreached(mtuBytes), [])
  })

  t.test('every node reaches every pod, and pods the nodes', async (t) => {
    const pairs = NODES.flatMap((from) => NODES.map((to) => [from, to] as const))
    t.same(
      await unanswered(pairs.flatMap(([from, to]) => podAddresses(to).map((one) => [from.name, one] as const))),
      [],
    )
  })

  t.test('TCP carries what it is given, between nodes of one LAN and through the router', async (t) => {
    const web = await Web.serve('0123456789abcdef'.repeat(CONTENT_BYTES / 16), NODES.map(pod))
    for (const to of NODES.filter((node) => node !== N1))
      for (const address of podAddresses(to)) t.ok(await web.isServed(pod(N1), address), address)
    web.close()
  })

  t.test('pods have the MTU that the tunnel leaves them, and nothing was cut on its way', async (t) => {
    for (const node of NODES) {
      t.match(await run('ip', '-n', pod(node), 'link', 'show', 'eth0'), `mtu ${mtuBytes} `)
      for (const [link, bytes] of Object.entries(links))
        t.match(await run('ip', '-n', node.name, 'link', 'show', link), `mtu ${bytes} `, link)
    }
    t.equal(await fragments(), 0)
  })

  t.test('an agent that is killed and started again changes nothing, and no packet is lost', async (t) => {
    const before = await Promise.all(NODES.map(objectsOf))
    const [near = ''] = podAddresses(N1)
    const [, far = ''] = podAddresses(N3)
    const flows = [await Pings.start('pod-n2', near), await Pings.start('pod-n1', far)]
    await agents.get('n1')?.stop('SIGKILL')
    t.same(await Promise.all(NODES.map(objectsOf)), before)
    const agent = await start(N1)
    agents.set('n1', agent)
    t.equal((await agent.ask('status')).mtuBytes, mtuBytes, 'from its first answer on')
    await until('it knows the others', async () => (await agent.ask('status')).peers === 2)
    t.same(await Promise.all(NODES.map(objectsOf)), before)
    t.same(
      agent.log.filter(({ msg }) => msg === 'network between nodes set'),
      [],
    )
    for (const flow of flows) {
      const { sent, lost } = await flow.end()
      t.ok(sent > 0)
      t.same(lost, [], `of ${sent}`)
    }
  })

  t.test('a node that moves to another address is followed, and nothing of the old one stays', async () => {
    await moveN3('192.168.2.33')
    announce(N3, '192.168.2.33')
    await until('all lead there', async () => {
      const [one, two, three] = await Promise.all(NODES.map(objectsOf))
      return (
        [one, two].every((text) => text?.includes('192.168.2.33')) && !/192\.168\.2\.3\b/.test(`${one}${two}${three}`)
      )
    })
    await until('pods meet again', async () => (await unreached(mtuBytes)).length === 0)
  })

  t.test('a node that leaves takes all of its own with it; with the last one goes the tunnel', async (t) => {
    const before = await objectsOf(N1)
    withdraw(N3)
    await until('n3 is forgotten', async () => !/10\.42\.3\.|fd42:0:0:3:|192\.168\.2\./.test(await objectsOf(N1)))
    t.same(
      await unanswered(
        podAddresses(N2).map((one) => [pod(N1), one] as const),
        mtuBytes,
      ),
      [],
    )
    withdraw(N2)
    await until('nothing but its own CIDRs is left', async () => /^(blackhole \S+ .*\n?){2}$/.test(await objectsOf(N1)))
    for (const node of NODES) announce(node, node === N3 ? '192.168.2.33' : undefined)
    await until('all is back', async () => (await objectsOf(N1)) === before)
    await until('pods meet again', async () => (await unreached(mtuBytes)).length === 0)
  })

  t.test('n3 moves back', async () => {
    await moveN3('192.168.2.3')
    announce(N3)
    await until('pods meet again', async () => (await unreached(mtuBytes)).length === 0)
  })
}

/** By way of DHCP: the old address goes, and with it the default route. */
async function moveN3(address: string): Promise<void> {
  await run('ip', '-n', 'n3', '-4', 'address', 'flush', 'dev', 'eth0')
  await run('ip', '-n', 'n3', 'address', 'add', `${address}/24`, 'dev', 'eth0')
  await run('ip', '-n', 'n3', 'route', 'add', 'default', 'via', '192.168.2.254')
}

/** Breaks one thing after the other on n1, and waits until each is as it was. */
export async function repairs(t: Test, damages: readonly (readonly string[])[]): Promise<void> {
  const before = await objectsOf(N1)
  for (const damage of damages) {
    const { exitCode, stderr } = await inside('n1', ...damage)
    t.equal(exitCode, 0, `${damage.join(' ')} ${stderr}`)
    // Far below what it takes until the agent looks without having heard anything.
    await until(`undone: ${damage.join(' ')}`, async () => (await objectsOf(N1)) === before, 30_000)
  }
}
