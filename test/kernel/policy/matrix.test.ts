import t from 'tap'
import { PROBES } from '../../agent/policy/matrix.ts'
import { clusterCases } from '../../agent/policy/matrix-cluster.ts'
import { cyclonusCases } from '../../agent/policy/matrix-cyclonus.ts'
import { upstreamCases } from '../../agent/policy/matrix-upstream.ts'
import type { LabNode } from '../cluster.ts'
import { ClusterLab } from './cluster-lab.ts'
import { N1, N2 } from './lab.ts'
import { Lane } from './matrix-lane.ts'
import { type Pick, picksOf, walk } from './matrix-walk.ts'

/** The matrix of the public suites, on real nodes. The virtual machine has SCTP, too: test/kernel/modes/policy.test.ts. */

/** Cases with one step are walked side by side. */
const LANES = Array.from({ length: 6 }, (_, number) => new Lane(number))

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

/** Later steps make namespaces whose names all lanes would share. A ClusterNetworkPolicy is about all lanes in any case. */
const isAlone = ({ steps }: Pick) => steps > 1

const SUITES: Readonly<Record<string, readonly (readonly Pick[])[]>> = {
  "Kubernetes' own suite": groupsOf(picksOf(upstreamCases)),
  Cyclonus: groupsOf(picksOf(cyclonusCases)),
  'ClusterNetworkPolicy and audit': picksOf(clusterCases).map((pick) => [pick]),
}

function groupsOf(picks: readonly Pick[]): (readonly Pick[])[] {
  const together = picks.filter((pick) => !isAlone(pick))
  const groups = Array.from({ length: Math.ceil(together.length / LANES.length) }, (_, number) =>
    together.slice(number * LANES.length, (number + 1) * LANES.length),
  )
  return [...groups, ...picks.filter(isAlone).map((pick) => [pick])]
}

for (const [suite, groups] of Object.entries(SUITES))
  t.test(`${suite}: everybody reaches whom they may, and nobody else`, async (t) => {
    let calls = 0
    for (const picks of groups) {
      const done = await walk(lab, picks, LANES.slice(0, picks.length))
      t.same(done.wrong, [], picks.map(({ name }) => name).join('; '))
      calls += done.calls
    }
    t.ok(calls > 10_000, `${groups.flat().length} cases, ${calls} calls`)
  })
