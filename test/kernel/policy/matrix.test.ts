import t from 'tap'
import { TIMES } from '../../agent/policy/clusters-runs.ts'
import { PROBES } from '../../agent/policy/matrix.ts'
import { clusterCases } from '../../agent/policy/matrix-cluster.ts'
import { cyclonusCases } from '../../agent/policy/matrix-cyclonus.ts'
import { upstreamCases } from '../../agent/policy/matrix-upstream.ts'
import type { LabNode } from '../cluster.ts'
import { ClusterLab } from './cluster-lab.ts'
import { N1, N2 } from './lab.ts'
import { type Pick, picksOf, walk } from './matrix-walk.ts'

/** The matrix of the public suites, on real nodes. The virtual machine has SCTP, too: test/kernel/modes/policy.test.ts. */

/** Of cases with one step one in so many: the tracer of packets goes through all; here BRMTEST_RUNS of them at a time do. */
const ONE_IN = 8

/** Behind the router: over VXLAN. */
const N3: LabNode = { name: 'n3', number: 3, lan: 'b' }
const NODE_OF: Readonly<Record<string, LabNode>> = { b: N2, c: N3 }

const lab = await ClusterLab.start(
  [N1, N2, N3],
  PROBES.filter(({ protocol }) => protocol !== 'SCTP'),
  ({ metadata: { name } }) => NODE_OF[name] ?? N1,
)
t.setTimeout(600_000)
t.teardown(() => lab.stop())

const SUITES: Readonly<Record<string, readonly Pick[]>> = {
  "Kubernetes' own suite": picksOf(upstreamCases),
  Cyclonus: picksOf(cyclonusCases).filter(({ steps }, index) => steps > 1 || index % ONE_IN < TIMES),
  'ClusterNetworkPolicy and audit': picksOf(clusterCases),
}

for (const [suite, picks] of Object.entries(SUITES))
  t.test(`${suite}: everybody reaches whom they may, and nobody else`, async (t) => {
    let calls = 0
    for (const pick of picks) {
      const done = await walk(lab, pick)
      t.same(done.wrong, [], done.name)
      calls += done.calls
    }
    t.ok(calls > 10_000, `${picks.length} cases, ${calls} calls`)
  })
