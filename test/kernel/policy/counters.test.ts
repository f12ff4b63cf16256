import t from 'tap'
import { until } from '../agent.ts'
import { inside } from '../cluster.ts'
import { type Manifest, N1, PolicyLab } from './lab.ts'
import { probe } from './probe.ts'

/** Each policy and direction has a counter of its own in the kernel, however many are about a pod. */

const lab = await PolicyLab.start([N1])
t.teardown(() => lab.stop())
const web = await lab.addPod({ namespace: 'x', name: 'web', labels: { app: 'web' } })
const caller = await lab.addPod({ namespace: 'x', name: 'caller' })
await lab.listen([{ protocol: 'tcp', port: 80 }])

const policy = (name: string, spec: object = {}): Manifest => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { namespace: 'x', name },
  spec: { podSelector: { matchLabels: { app: 'web' } }, ...spec },
})
const ONE = policy('one')
const TWO = policy('two', { ingress: [{ ports: [{ port: 81 }] }] })
const PASSING: Manifest = {
  apiVersion: 'policy.networking.k8s.io/v1alpha2',
  kind: 'ClusterNetworkPolicy',
  metadata: { name: 'passing' },
  spec: {
    ...{ tier: 'Admin', priority: 1, subject: { namespaces: {} } },
    ingress: [{ action: 'Pass', from: [{ namespaces: {} }] }],
  },
}

/** Of one policy: packets by what became of them. */
async function counted(policy: string): Promise<Record<string, number>> {
  const report = await lab.agents[0]?.ask('policy show')
  const row = report?.policies.find((one) => one.policy === policy)
  return Object.fromEntries(row?.counted.map(({ effect, packets }) => [effect, packets]) ?? [])
}

const untilInKernel = (policy: string, effect: string) =>
  until(`the kernel counts for ${policy}`, async () => (await counted(policy))[effect] !== undefined)

/** Packets that policies dropped on their way in. */
async function droppedInAll(): Promise<number> {
  const { stdout } = await inside('n1', 'nft', 'list', 'counter', 'inet', 'bramble-policy', 'dropped-in')
  return Number(/packets (\d+)/.exec(stdout)?.[1])
}

/** A call to a pod that all policies are about; by IPv4, so that each packet is one. */
async function call(port: number): Promise<void> {
  const address = web.addresses[0] ?? ''
  await probe([{ netns: caller.netns, address, protocol: 'tcp', port, expected: 'closed' }])
}

t.test(
  'what several policies drop is counted by each of them, and goes on when another one comes or goes',
  async (t) => {
    const [one, two] = ['NetworkPolicy x/one', 'NetworkPolicy x/two'] as const
    lab.put(ONE)
    await untilInKernel(one, 'dropped')
    await call(80)
    const { dropped: first = 0 } = await counted(one)
    t.ok(first > 0)
    lab.put(TWO)
    await untilInKernel(two, 'dropped')
    await call(80)
    const { dropped: second = 0 } = await counted(two)
    t.ok(second > 0)
    t.equal((await counted(one)).dropped, first + second)
    t.equal(await droppedInAll(), first + second, 'once in all')
    lab.remove(TWO)
    await until('it is gone', async () => (await counted(two)).dropped === undefined)
    t.equal((await counted(one)).dropped, first + second)
    lab.remove(ONE)
  },
)

t.test('what is handed on to the next tier is counted, too', async (t) => {
  lab.put(PASSING, TWO)
  await untilInKernel('ClusterNetworkPolicy passing', 'passed')
  await untilInKernel('NetworkPolicy x/two', 'accepted')
  await call(81)
  const { passed = 0 } = await counted('ClusterNetworkPolicy passing')
  t.ok(passed > 0)
  t.equal((await counted('NetworkPolicy x/two')).accepted, passed)
})
