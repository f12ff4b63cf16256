import t from 'tap'
import { PROBES } from '../../agent/policy/matrix.ts'
import { clusterCases } from '../../agent/policy/matrix-cluster.ts'
import { cyclonusCases } from '../../agent/policy/matrix-cyclonus.ts'
import { upstreamCases } from '../../agent/policy/matrix-upstream.ts'
import { ClusterLab } from '../policy/cluster-lab.ts'
import { N1, N2 } from '../policy/lab.ts'
import { picksOf, walk } from '../policy/matrix-walk.ts'

/*
 * A part of the matrix of the public suites (test/kernel/policy/matrix.test.ts) on another kernel, which has SCTP, too: in
 * the virtual machine of `make test-vm`.
 */
t.setTimeout(500_000)

/** What tells SCTP from the others; and changes, addresses, named ports, tiers. */
const SOME = [
  'Ports, SCTP',
  "not mistakenly treat 'protocol: SCTP' as 'protocol: TCP'",
  'ingress access from updated pod',
  'stop enforcing policies after they are deleted',
  'egress access to server in CIDR block',
  'ingress on [{"protocol":"SCTP","port":"serve-81-sctp"}]',
  'egress on [{"protocol":"SCTP","port":53,"endPort":80}]',
  'protocols: a number, a range, a name',
  'Admin: Pass leaves it to NetworkPolicies, whatever the tier says behind it',
]
const picks = [upstreamCases, cyclonusCases, clusterCases].flatMap(picksOf).filter(({ name }) => SOME.includes(name))

const lab = await ClusterLab.start([N1, N2], PROBES, ({ metadata: { name } }) => (name === 'b' ? N2 : N1))
t.teardown(() => lab.stop())

for (const pick of picks)
  t.test(
    `${pick.name} (IPv${pick.families.join(' and IPv')}): everybody reaches whom they may, and nobody else`,
    async (t) => {
      const { calls, wrong } = await walk(lab, [pick])
      t.same(wrong, [], `${calls} calls`)
    },
  )

t.test('no case is missing', async (t) => {
  t.same(new Set(picks.map(({ name }) => name)), new Set(SOME))
})
