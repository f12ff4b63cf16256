import t from 'tap'
import { AskError, type ClusterPod, type WorkloadSource } from '../../../agent/cluster/workloads.ts'
import { PodsWaitedFor } from '../../../agent/enforcement/wait-for-pod.ts'
import type { Lease } from '../../../ipam/leases.ts'

const LEASE: Lease = { containerId: 'c', ifname: 'eth0', network: 'n', pod: 'x/web', podUid: 'u', addresses: [] }
const LONG_MS = 60_000
/** No deadline of ours keeps a process alive: in the agent its sockets do. */
const alive = setInterval(() => {}, LONG_MS)
t.teardown(() => clearInterval(alive))

/** A source that is asked, and tells nothing by itself. */
class Asked implements WorkloadSource {
  readonly isComplete = false
  readonly asked: { readonly pod: string; readonly signal: AbortSignal }[] = []
  start(): void {}
  async ask(namespace: string, name: string, signal: AbortSignal): Promise<ClusterPod | undefined> {
    this.asked.push({ pod: `${namespace}/${name}`, signal })
    throw new AskError('the API server is away')
  }
  async close(): Promise<void> {}
}

function fixture() {
  const source = new Asked()
  let isKnown = false
  const refusals: string[] = []
  const waited = new PodsWaitedFor(
    source,
    () => isKnown,
    ({ pod }, reason) => refusals.push(`${pod}: ${reason}`),
  )
  const tell = () => {
    isKnown = true
    waited.look()
  }
  return { source, waited, tell, refusals }
}

t.test('a pod that is known is neither asked for nor waited for', async (t) => {
  const { source, waited, tell } = fixture()
  tell()
  t.equal(await waited.untilKnown(LEASE, LONG_MS, new AbortController().signal), true)
  t.same(source.asked, [])
})

t.test('one that is not is asked for at once, and goes on when it is told of', async (t) => {
  const { source, waited, tell, refusals } = fixture()
  const known = waited.untilKnown(LEASE, LONG_MS, new AbortController().signal)
  t.same(
    source.asked.map(({ pod }) => pod),
    ['x/web'],
  )
  tell()
  t.equal(await known, true)
  t.same(refusals, ['x/web: the API server is away'], 'and that it cannot be asked is told')
})

t.test('nobody waits beyond the bound; the answer is of use for longer than that', async (t) => {
  const { source, waited } = fixture()
  for (const waitMs of [0, 20]) t.equal(await waited.untilKnown(LEASE, waitMs, new AbortController().signal), false)
  t.same(
    source.asked.map(({ signal }) => signal.aborted),
    [false, false],
  )
})

t.test('who is told to stop stops, though nothing is heard of the cluster', async (t) => {
  const { waited } = fixture()
  const caller = new AbortController()
  const known = waited.untilKnown(LEASE, LONG_MS, caller.signal)
  caller.abort(new Error('the plugin is gone'))
  await t.rejects(known, { message: 'the plugin is gone' })
})

t.test('who was told to stop before does not begin: the end of what has ended is not told again', async (t) => {
  const { source, waited } = fixture()
  await t.rejects(waited.untilKnown(LEASE, LONG_MS, AbortSignal.abort(new Error('the plugin is gone'))), {
    message: 'the plugin is gone',
  })
  t.same(source.asked, [])
})

t.test('where the agent ends, those that wait are told so at once, and those that come', async (t) => {
  const { source, waited, tell } = fixture()
  const known = waited.untilKnown(LEASE, LONG_MS, new AbortController().signal)
  waited.end(new Error('the agent ends'))
  await t.rejects(known, { message: 'the agent ends' })
  await t.rejects(waited.untilKnown(LEASE, LONG_MS, new AbortController().signal), { message: 'the agent ends' })
  t.equal(source.asked.length, 1)
  tell()
  t.equal(
    await waited.untilKnown(LEASE, LONG_MS, new AbortController().signal),
    true,
    'one that is known needs no wait',
  )
})
