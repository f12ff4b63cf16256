import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { Evaluator } from '../../../agent/policy/evaluate.ts'
import {
  addressOf,
  type Member,
  nodeParties,
  outsideParties,
  pairOf,
  placedPods,
  podParties,
} from '../../../agent/policy/parties.ts'
import { cluster } from './clusters.ts'
import { inputOf } from './clusters-input.ts'
import { hold } from './clusters-runs.ts'
import { siteOf, sitePick } from './clusters-site.ts'
import { clusterPolicy, networkPolicy, pod, smallCluster } from './small-cluster.ts'

/** Names of the pods of each party. */
function parties(cluster: ReturnType<typeof smallCluster>, options = {}) {
  const { input, evaluator } = cluster
  const found = podParties(placedPods(input, evaluator.identities), input.workloads.policies.values(), options)
  return found.map(({ members }) => members.map(({ name }) => name).join(' '))
}

t.test('where there are no policies all pods are alike, and can be kept apart by namespace', async (t) => {
  t.same(parties(smallCluster([])), ['x/a x/b y/a y/b'])
  t.same(parties(smallCluster([]), { isByNamespace: true }), ['x/a x/b', 'y/a y/b'])
})

t.test('labels that no selector asks for tell nobody apart', async (t) => {
  const by = (key: string) => networkPolicy({ podSelector: { matchExpressions: [{ key, operator: 'Exists' }] } })
  t.same(parties(smallCluster([by('other')])), ['x/a x/b', 'y/a y/b'], 'the policy is of the namespace x')
  t.same(parties(smallCluster([by('pod')])), ['x/a', 'x/b', 'y/a', 'y/b'])
})

t.test('ports with names tell pods apart where a rule asks for that name', async (t) => {
  const pods = [pod('y/b', { ports: [{ name: 'http', protocol: 'TCP', number: 8080 }] })]
  const asking = (port: string) => [
    clusterPolicy({
      subject: { namespaces: { matchLabels: { ns: 'x' } } },
      ingress: [{ action: 'Accept', from: [{ namespaces: {} }], protocols: [{ destinationNamedPort: port }] }],
    }),
  ]
  t.same(parties(smallCluster(asking('http'), { pods })), ['x/a x/b', 'y/a', 'y/b'])
  t.same(parties(smallCluster(asking('dns'), { pods })), ['x/a x/b', 'y/a y/b'])
})

t.test('so do ranges in which some of them are', async (t) => {
  const to = (cidr: string) => clusterPolicy({ egress: [{ action: 'Deny', to: [{ networks: [cidr] }] }] })
  t.same(parties(smallCluster([to('10.42.1.16/28')])), ['x/a x/b y/b', 'y/a'])
  t.same(parties(smallCluster([to('10.0.0.0/8')])), ['x/a x/b y/a y/b'])
})

t.test('of the world is told apart what policies single out, by addresses that nobody has', async (t) => {
  const { input, evaluator } = smallCluster([
    networkPolicy({
      ingress: [
        { from: [{ ipBlock: { cidr: '198.51.100.0/24', except: ['198.51.100.128/25'] } }] },
        { from: [{ ipBlock: { cidr: '198.51.0.0/16' } }, { ipBlock: { cidr: '0.0.0.0/0' } }] },
      ],
    }),
  ])
  const found = outsideParties(input.workloads.policies.values(), evaluator.identities, 9)
  t.same(
    found.map(({ name, members: [{ addresses }] }) => [name, ...addresses]),
    [
      ['world', '1.2.3.4', '2a00::1'],
      ['198.51.0.0-198.51.99.255', '198.51.99.255'],
      ['198.51.100.0/25', '198.51.100.127'],
      ['198.51.100.128-198.51.255.255', '198.51.255.255'],
      ['198.52.0.0-255.255.255.255', '255.255.255.255'],
    ],
  )
})

t.test('a pair is never a pod and itself, nor, where there is another node, a pod and its own', async (t) => {
  const { input, evaluator } = smallCluster([])
  const [pods] = podParties(placedPods(input, evaluator.identities), [])
  const [nodes] = nodeParties(input, [])
  assert(pods && nodes)
  const names = (pair: readonly [Member, Member] | undefined) => pair?.map(({ name }) => name)
  t.same(names(pairOf(pods, pods)), ['x/a', 'x/b'])
  t.same(names(pairOf(pods, nodes)), ['x/a', 'pi-2'])
  t.same(names(pairOf(nodes, pods)), ['pi-1', 'x/b'])
  const alone = { ...pods, members: [pods.members[0]] as const }
  t.equal(pairOf(alone, alone), undefined)
})

t.test('in any cluster whoever is of one party is let through, or dropped, like any other of it', async (t) => {
  const ends = fc.record({ from: fc.nat(99), to: fc.nat(99), port: fc.constantFrom(53, 80, 81, 8080) })
  const all = fc.record({ cluster, site: sitePick, picks: fc.array(ends, { minLength: 1, maxLength: 20 }) })
  const seen = { open: 0, closed: 0 }
  const run = hold(all, 1_500, ({ cluster, site: pick, picks }) => {
    const input = inputOf(cluster, siteOf(cluster, pick))
    const evaluator = new Evaluator(input)
    const { policies } = input.workloads
    // Pods of one address are both asked, and those of which little is known are of no party.
    const isPlain = (addresses: readonly string[]) =>
      addresses.every((one) => {
        const { pods, local } = evaluator.identities.at(one)
        return pods.length === 1 && !local?.isUnknown
      })
    const pods = placedPods(input, evaluator.identities).filter(({ addresses }) => isPlain(addresses))
    const parties = [...podParties(pods, policies.values()), ...nodeParties(input, policies.values())]
    if (parties.length === 0) return
    for (const { from: one, to: other, port } of picks) {
      const [from, to] = [parties[one % parties.length], parties[other % parties.length]]
      assert(from && to)
      const verdicts = from.members.flatMap((source) =>
        to.members.flatMap((destination) => {
          const isOwn = source.nodeName === destination.nodeName && !(source.pod && destination.pod)
          const addresses = [addressOf(source, 4), addressOf(destination, 4)]
          const [a, b] = addresses
          if (isOwn || source.name === destination.name || a === undefined || b === undefined) return []
          const flow = { source: a, destination: b, protocol: 'TCP' as const, destinationPort: port }
          return [evaluator.evaluate(flow).isAllowed]
        }),
      )
      if (verdicts.length > 1) seen[verdicts[0] ? 'open' : 'closed']++
      assert(new Set(verdicts).size <= 1, `${from.name} to ${to.name}`)
    }
  })
  t.pass(`${run}; ${JSON.stringify(seen)}`)
  t.ok(seen.open > 100 && seen.closed > 100, 'both verdicts are common')
})
