import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { changeBy, differences } from '../../../agent/api/policy-preview.ts'
import { Evaluator } from '../../../agent/policy/evaluate.ts'
import { cluster } from '../policy/clusters.ts'
import { flowOf, flowPick } from '../policy/clusters-flows.ts'
import { inputOf } from '../policy/clusters-input.ts'
import { siteOf, sitePick } from '../policy/clusters-site.ts'
import { clusterPolicy, networkPolicy, smallCluster } from '../policy/small-cluster.ts'

type Objects = Parameters<typeof smallCluster>[0]

const fromB = { from: [{ podSelector: { matchLabels: { pod: 'b' } } }] }

async function previewed(before: Objects, objects: readonly unknown[], isDelete = false) {
  const change = changeBy(objects, smallCluster(before).input, isDelete)
  return { ...change.report, ...(await differences(change)) }
}

t.test('a new policy that isolates closes for all but those whom it lets in', async (t) => {
  const { changes, differences: found, alike } = await previewed([], [networkPolicy({ ingress: [fromB] })])
  t.same(changes, [{ policy: 'NetworkPolicy x/web', what: 'new' }])
  t.same(found, [{ from: ['y/a', 'y/b', 'node pi-1 (+1)', 'world'], to: ['x/a'], closed: 'everything' }])
  t.same(alike, [{ name: 'node pi-1 (+1)', count: 2, members: ['pi-1', 'pi-2'] }])
})

t.test('a changed one is told by what opens and what closes, port by port', async (t) => {
  const old = networkPolicy({ ingress: [{ ...fromB, ports: [{ port: 80 }, { port: 81 }] }] })
  const now = networkPolicy({ ingress: [{ ...fromB, ports: [{ port: 'http' }, { port: 53, protocol: 'UDP' }] }] })
  const { changes, differences: found } = await previewed([old], [now])
  t.match(changes, [{ what: 'changed' }])
  t.same(found, [{ from: ['x/b'], to: ['x/a'], opened: 'UDP 53', closed: 'TCP 81' }])
})

t.test('families that differ are told apart', async (t) => {
  const { differences: found } = await previewed(
    [networkPolicy({})],
    [networkPolicy({ ingress: [{ from: [{ ipBlock: { cidr: '0.0.0.0/0' } }] }] })],
  )
  t.ok(found.length > 0)
  t.ok(found.every(({ family, opened }) => family === 4 && opened === 'everything'))
})

t.test('of the world is told what the policies single out', async (t) => {
  const { differences: found } = await previewed(
    [networkPolicy({})],
    [networkPolicy({ ingress: [{ from: [{ ipBlock: { cidr: '198.51.100.0/24' } }] }] })],
  )
  t.same(found, [{ from: ['198.51.100.0/24'], to: ['x/a'], opened: 'everything' }])
})

t.test('what the other side denies all the same is no difference', async (t) => {
  const closed = clusterPolicy({ egress: [{ action: 'Deny', to: [{ networks: ['0.0.0.0/0', '::/0'] }] }] })
  const { differences: found } = await previewed([closed, networkPolicy({})], [networkPolicy({ ingress: [fromB] })])
  t.same(found, [])
})

t.test('of two with one name the first counts, as it does in a folder, and that is told', async (t) => {
  const {
    changes,
    problems,
    differences: found,
  } = await previewed([], [networkPolicy({ ingress: [fromB] }), networkPolicy({ ingress: [{}] })])
  t.same(changes, [{ policy: 'NetworkPolicy x/web', what: 'new' }])
  t.match(problems, [{ object: 'NetworkPolicy x/web', reason: /is there twice: the first one counts/ }])
  t.equal(found[0]?.closed, 'everything')
})

t.test('one that says the same changes nothing, and one that is deleted opens what it closed', async (t) => {
  const policy = networkPolicy({ ingress: [fromB] })
  const same = await previewed([policy], [policy])
  t.match(same.changes, [{ what: 'unchanged' }])
  t.same(same.differences, [])
  t.match(await previewed([policy], [policy], true), {
    changes: [{ what: 'deleted' }],
    differences: [{ from: ['y/a', 'y/b', 'node pi-1 (+1)', 'world'], to: ['x/a'], opened: 'everything' }],
  })
  const absent = await previewed([], [policy], true)
  t.match(absent.changes, [{ what: 'not there' }])
  t.same(absent.differences, [])
})

t.test('problems are told by object and field, other kinds by name, and the rest is previewed', async (t) => {
  const bad = networkPolicy({ ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/33' } }] }] }, 'bad')
  const worse = networkPolicy({ podSelector: 5 }, 'worse')
  const objects = [bad, worse, { kind: 'Deployment', metadata: { namespace: 'x', name: 'web' } }, 7, null]
  const { changes, others, problems } = await previewed([], objects)
  t.same(changes, [{ policy: 'NetworkPolicy x/bad', what: 'new' }])
  t.same(others, ['Deployment x/web', 'an object without a kind', 'an object without a kind'])
  t.match(problems, [
    { object: 'NetworkPolicy x/bad', reason: /^spec\.ingress\[0\]\.from\[0\]\.ipBlock\.cidr: "10\.0\.0\.0\/33"/ },
    { object: 'NetworkPolicy x/worse', reason: /^spec\.podSelector/ },
  ])
})

t.test(
  'in any cluster, where no difference is told no flow between pods changes, and where one is, one does',
  async (t) => {
    const flows = fc.array(flowPick, { minLength: 1, maxLength: 20, size: 'max' })
    const all = fc.record({ cluster, site: sitePick, flows, dropped: fc.option(fc.nat(9)) })
    const seen = { changed: 0, same: 0 }
    await fc.assert(
      fc.asyncProperty(all, async ({ cluster, site: pick, flows, dropped }) => {
        const site = siteOf(cluster, pick)
        const input = inputOf(cluster, site)
        const { policies } = cluster
        const objects = dropped === null ? policies : policies.slice(dropped % Math.max(1, policies.length)).slice(0, 1)
        const change = changeBy(objects, input, true)
        const { differences: found, pairs } = await differences(change)
        assert.equal(pairs.compared, pairs.all)
        const [was, is] = [new Evaluator(change.before), new Evaluator(change.after)]
        const isPod = (address: string) => was.identities.at(address).pods.length === 1
        const isChanged = flows
          .map((one) => flowOf(cluster, site, one))
          .filter((flow) => flow !== undefined && isPod(flow.source) && isPod(flow.destination))
          .some((flow) => flow && was.evaluate(flow).isAllowed !== is.evaluate(flow).isAllowed)
        seen[isChanged ? 'changed' : 'same']++
        if (isChanged) assert(found.length > 0)
        if (found.length > 0) assert(change.policies.length > 0)
      }),
      { numRuns: 600, seed: 20_261_121 },
    )
    t.ok(seen.changed > 20 && seen.same > 20, JSON.stringify(seen))
  },
)
