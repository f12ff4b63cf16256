import t from 'tap'
import { show } from '../../../agent/api/policy-show.ts'
import { desiredPolicy } from '../../../agent/ruleset/desired.ts'
import type { CounterValue } from '../../../agent/ruleset/table.ts'
import { MAX_ANSWER_BYTES } from '../../../plugin/frame.ts'
import { clusterPolicy, networkPolicy, onAudit, pod, smallCluster } from '../policy/small-cluster.ts'

const NONE = { defined: new Map(), values: new Map() }
const deny = { action: 'Deny', name: 'no y', from: [{ namespaces: { matchLabels: { ns: 'y' } } }] }

t.test(
  'all policies in the order in which they decide, with whom they are for and how many of them are here',
  async (t) => {
    const { input } = smallCluster([
      networkPolicy({ policyTypes: ['Ingress', 'Egress'] }),
      onAudit(networkPolicy({ podSelector: {} }, 'any')),
      clusterPolicy({ tier: 'Baseline', ingress: [deny] }, 'base'),
      clusterPolicy({ priority: 20, ingress: [deny] }, 'a'),
      clusterPolicy({ priority: 10, ingress: [deny] }, 'b'),
    ])
    t.same(
      show(input, NONE, [], undefined).policies.map(({ policy, subject, pods, localPods, directions, isAudit }) =>
        [policy, subject, `${localPods} of ${pods}`, directions.join(), ...(isAudit ? ['audit'] : [])].join('; '),
      ),
      [
        'ClusterNetworkPolicy b; all pods in all namespaces; 2 of 4; ingress',
        'ClusterNetworkPolicy a; all pods in all namespaces; 2 of 4; ingress',
        'NetworkPolicy x/any; all pods; 1 of 2; ingress; audit',
        'NetworkPolicy x/web; pods pod=a; 1 of 1; ingress,egress',
        'ClusterNetworkPolicy base; all pods in all namespaces; 2 of 4; ingress',
      ],
    )
  },
)

t.test(
  'what the rules of this node have counted is told of each policy, of those that isolate a pod together, too',
  async (t) => {
    const { input } = smallCluster([networkPolicy({ ingress: [{}] }, 'one'), networkPolicy({ ingress: [] }, 'two')])
    const { counters } = desiredPolicy(input)
    const values = new Map<string, CounterValue>(
      Array.from(counters.values(), ({ name, effect }) => [
        name,
        { packets: effect === 'dropped' ? 3 : 7, bytes: 100 },
      ]),
    )
    const [one, two] = show(input, { defined: counters, values }, [], undefined).policies
    const dropped = { direction: 'ingress', effect: 'dropped', packets: 3, bytes: 100 }
    const accepted = { direction: 'ingress', effect: 'accepted', packets: 7, bytes: 100 }
    t.same(new Set(one?.counted), new Set([accepted, dropped]))
    t.same(two?.counted, [dropped])
  },
)

t.test('of a pod the policies that select it, and in each direction the rules in order and in words', async (t) => {
  const { input } = smallCluster([
    clusterPolicy({ ingress: [deny] }),
    clusterPolicy({ tier: 'Baseline', egress: [{ action: 'Pass', to: [{ nodes: {} }] }] }, 'base'),
    networkPolicy({
      ingress: [
        {
          from: [{ podSelector: {} }, { ipBlock: { cidr: '10.0.0.0/8' } }],
          ports: [{ port: 'http' }, { port: 1, endPort: 9 }],
        },
      ],
    }),
    networkPolicy({ podSelector: { matchLabels: { pod: 'b' } } }, 'of-another'),
  ])
  const { pod, policies } = show(input, NONE, [], 'x/a')
  t.same(
    policies.map(({ policy }) => policy),
    ['ClusterNetworkPolicy all', 'NetworkPolicy x/web', 'ClusterNetworkPolicy base'],
  )
  t.match(pod, { pod: 'x/a', node: 'pi-1', isLocal: true, addresses: ['10.42.1.10', 'fd42:0:0:1::10'] })
  t.equal(pod?.ingress.rest, 'closed')
  t.same(
    pod?.ingress.rules.map(({ policy, action, words }) => `${policy}: ${action} ${words}`),
    [
      'ClusterNetworkPolicy all: Deny from all pods in namespaces ns=y',
      'NetworkPolicy x/web: Accept from all pods in this namespace or 10.0.0.0/8 on TCP http, TCP 1-9',
    ],
  )
  t.equal(pod?.egress.rest, 'open')
  t.same(
    pod?.egress.rules.map(({ words }) => words),
    ['to all nodes'],
  )
})

t.test('a pod that is isolated never reaches Baseline: its rules are not shown', async (t) => {
  const { input } = smallCluster([networkPolicy({}), clusterPolicy({ tier: 'Baseline', ingress: [deny] }, 'base')])
  const { pod } = show(input, NONE, [], 'x/a')
  t.same(pod?.ingress.policies, ['NetworkPolicy x/web'])
})

t.test('what isolates only on audit leaves the pod open, and so does --policy-mode never', async (t) => {
  const rest = (policies: Parameters<typeof smallCluster>[0], mode: 'default' | 'always' | 'never') =>
    show(smallCluster(policies, { mode }).input, NONE, [], 'x/a').pod?.ingress.rest
  t.equal(rest([networkPolicy({})], 'default'), 'closed')
  t.equal(rest([onAudit(networkPolicy({}))], 'default'), 'open')
  t.equal(rest([networkPolicy({})], 'never'), 'open')
  t.equal(rest([], 'always'), 'closed')
})

t.test('a pod with the network of its node has no policies, and says why', async (t) => {
  const pods = [pod('x/a', { isHostNetwork: true, nodeName: 'pi-2' })]
  const { pod: report, policies } = show(
    smallCluster([clusterPolicy({ ingress: [deny] })], { pods, local: [] }).input,
    NONE,
    [],
    'x/a',
  )
  t.same(policies, [])
  t.match(report, { note: /network of its node pi-2/, ingress: { rest: 'open' } })
  t.same(report?.ingress.policies, [])
})

t.test('problems are those of the policies that are shown', async (t) => {
  const problems = ['NetworkPolicy x/web: spec.ingress[0]: wrong', 'NetworkPolicy y/other: wrong', 'the folder is away']
  const { input } = smallCluster([networkPolicy({})])
  t.same(show(input, NONE, problems, undefined).problems, problems)
  t.same(show(input, NONE, problems, 'x/a').problems, problems.slice(0, 1))
})

t.test('the answer about a pod that thousands of policies select stays one that can be sent', async (t) => {
  const count = 6_000
  const rules = [{ from: [{ podSelector: {} }] }]
  const all = Array.from({ length: count }, (_, n) => networkPolicy({ ingress: rules }, `policy-${n}`.padEnd(253, 'x')))
  const { input } = smallCluster(all)
  const { counters } = desiredPolicy(input)
  const values = new Map(Array.from(counters.keys(), (name) => [name, { packets: 1, bytes: 60 }]))
  const answer = show(input, { defined: counters, values }, [], 'x/a')
  t.equal(answer.policies.length + answer.morePolicies, count)
  const { rules: shown = [], moreRules = 0 } = answer.pod?.ingress ?? {}
  t.equal(shown.length + moreRules, count)
  const [first] = answer.policies
  t.ok(first?.counted.some(({ effect }) => effect === 'dropped'))
  t.ok(Buffer.byteLength(JSON.stringify(answer)) < MAX_ANSWER_BYTES)
})
