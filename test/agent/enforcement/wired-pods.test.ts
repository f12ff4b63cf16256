import fc from 'fast-check'
import t from 'tap'
import { NO_WORKLOADS } from '../../../agent/cluster/workloads.ts'
import { localPod, withBarePods } from '../../../agent/enforcement/local-pods.ts'
import { WiredPods } from '../../../agent/enforcement/wired-pods.ts'
import { parseCidr } from '../../../ipam/address.ts'
import { type Lease, Leases } from '../../../ipam/leases.ts'

const COMPLETE = { workloads: NO_WORKLOADS, isComplete: true }

function newLeases(): Leases {
  let nowMs = 0
  return new Leases([parseCidr('10.42.0.0/24')], { append: () => {} }, () => (nowMs += 1_000_000))
}

const owner = (containerId: string, pod: string) => ({ containerId, ifname: 'eth0', network: 'n', pod })

t.test('whatever comes and goes, in whatever steps, the picture is that of all leases at once', (t) => {
  const act = fc.record({ container: fc.nat(6), pod: fc.nat(3), isSeen: fc.boolean(), fails: fc.boolean() })
  fc.assert(
    fc.property(fc.array(act, { maxLength: 40 }), (acts) => {
      const leases = newLeases()
      const wired = new WiredPods(leases)
      wired.update(COMPLETE)
      wired.workloadsWith(NO_WORKLOADS)
      for (const { container, pod, isSeen, fails } of acts) {
        const held = leases.get(`c${container}`, 'eth0')
        if (held) leases.release(held.containerId, held.ifname)
        wired.note(held ?? leases.reserve(owner(`c${container}`, `x/p${pod}`)))
        if (!isSeen) continue
        const before = wired.all
        wired.update(COMPLETE)
        if (fails) wired.revert(before)
        if (fails) wired.update(COMPLETE)
        const expected = leases.list().map((lease) => localPod(lease, COMPLETE))
        t.same(sorted(wired.all.values()), sorted(expected))
        const pods = withBarePods(NO_WORKLOADS, expected).pods
        t.same([...wired.workloadsWith(NO_WORKLOADS).pods.keys()].sort(), [...pods.keys()].sort())
      }
    }),
    { numRuns: 50 },
  )
  t.end()
})

t.test('of a change the pods are told that were there before, and no others', (t) => {
  const leases = newLeases()
  const wired = new WiredPods(leases)
  const a = leases.reserve(owner('a', 'x/a'))
  t.same([...wired.update(COMPLETE).values()], [undefined])
  const before = wired.all
  wired.note(a)
  t.equal(wired.update(COMPLETE).size, 0, 'it is what it was')
  t.equal(wired.all, before)
  leases.release('a', 'eth0')
  wired.note(a)
  t.match([...wired.update(COMPLETE).values()], [{ pod: 'x/a', addresses: a.addresses }])
  t.equal(wired.all.size, 0)
  t.end()
})

t.test('an address is leaving from when its pod has gone until that is seen to', (t) => {
  const leases = newLeases()
  const wired = new WiredPods(leases)
  const a: Lease = leases.reserve(owner('a', 'x/a'))
  wired.update(COMPLETE)
  wired.note(a)
  t.notOk(wired.isLeaving(a.addresses), 'its pod is there')
  leases.release('a', 'eth0')
  t.ok(wired.isLeaving(a.addresses))
  t.notOk(wired.isLeaving(['10.42.0.77']))
  wired.update(COMPLETE)
  t.notOk(wired.isLeaving(a.addresses))
  t.end()
})

t.test(
  'a change of the cluster concerns pods of its names, those of changed namespaces, and those that are not known',
  (t) => {
    const leases = newLeases()
    const wired = new WiredPods(leases)
    leases.reserve(owner('a', 'x/a'))
    wired.update(COMPLETE)
    const changed = (pods: string[], namespaces: string[] = []) => ({
      pods: new Set(pods),
      namespaces: new Set(namespaces),
    })
    t.ok(wired.isConcernedBy(changed(['x/a'])))
    t.notOk(wired.isConcernedBy(changed(['x/b'])))
    t.ok(wired.isConcernedBy(changed([], ['x'])))
    wired.note()
    wired.update({ workloads: NO_WORKLOADS, isComplete: false })
    t.ok(wired.isConcernedBy(changed(['x/b'])), 'it may be that one')
    t.end()
  },
)

function sorted<T extends { readonly link: string }>(pods: Iterable<T>): T[] {
  return [...pods].sort((a, b) => (a.link < b.link ? -1 : 1))
}
