import fc from 'fast-check'
import t from 'tap'
import { cluster, clusterOf, objectsOf, PORT_NUMBERS, type RawObject } from '../../agent/policy/clusters.ts'
import { SEED, TIMES } from '../../agent/policy/clusters-runs.ts'
import { judge, type Site } from '../../agent/policy/oracle.ts'
import { idOf, isSomebody } from '../../agent/policy/oracle-identities.ts'
import type { RawCluster, RawFlow, RawNode, RawPod } from '../../agent/policy/oracle-objects.ts'
import { type LabNode, plugIn } from '../cluster.ts'
import { makeNetns, run } from '../scratch.ts'
import { ClusterLab, lower } from './cluster-lab.ts'
import type { Probe } from './probe.ts'

/**
 * A sample of random clusters, in real kernels: of every call with a real socket comes what the oracle says. The names of
 * the nodes, their addresses and their pods' are those of the random clusters (test/agent/policy/clusters.ts).
 */

/** Of the seed that is always the same, and of another one each time. */
const CLUSTERS = { fixed: 20 * TIMES, fresh: 8 * TIMES } as const
/** Behind the router. */
const WORLD = { netns: 'world', addresses: ['198.51.100.7', '2001:db8::7'] }

const node = (number: number): LabNode => ({ name: `node${number}`, number, lan: 'a' })
/** It has no agent: a machine that the cluster knows, or not. */
const NODE_3 = node(3)
const NODES = [node(1), node(2)] as const
const SERVICES = PORT_NUMBERS.flatMap((port) => (['TCP', 'UDP'] as const).map((protocol) => ({ protocol, port })))

const lab = await ClusterLab.start(NODES, SERVICES, ({ spec }) => (spec.nodeName === 'node2' ? NODES[1] : NODES[0]))
t.setTimeout(300_000)
t.teardown(() => lab.stop())
await plugIn(NODE_3)
await joinWithIpv6()
await makeWorld()
for (const netns of [...NODES.map(({ name }) => name), NODE_3.name, WORLD.netns]) await lab.listenIn(netns)

/** Nodes speak IPv6 to each other as well; and who has no agent is told where pods are. */
async function joinWithIpv6(): Promise<void> {
  await run('sysctl', '-qw', 'net.ipv6.conf.all.forwarding=1')
  await run('ip', 'address', 'add', 'fd00::254/64', 'dev', 'lan-a', 'nodad')
  for (const { name, number } of [...NODES, NODE_3]) {
    await run('ip', '-n', name, 'address', 'add', `fd00::${number}/64`, 'dev', 'eth0', 'nodad')
    await run('ip', '-n', name, 'route', 'add', 'default', 'via', 'fd00::254')
  }
  for (const { number } of NODES)
    for (const where of [[], ['-n', NODE_3.name]]) {
      await run('ip', ...where, 'route', 'add', `10.42.${number}.0/24`, 'via', `192.168.1.${number}`)
      await run('ip', ...where, 'route', 'add', `fd42:0:0:${number}::/64`, 'via', `fd00::${number}`)
    }
}

async function makeWorld(): Promise<void> {
  const { netns, addresses } = WORLD
  await makeNetns(netns)
  await run('ip', 'link', 'add', 'to-world', 'up', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns)
  await run('ip', '-n', netns, 'link', 'set', 'eth0', 'up')
  const routers = ['198.51.100.1', '2001:db8::1']
  for (const [index, router] of routers.entries()) {
    const bits = index === 0 ? 24 : 64
    const nodad = index === 0 ? [] : ['nodad']
    await run('ip', 'address', 'add', `${router}/${bits}`, 'dev', 'to-world', ...nodad)
    await run('ip', '-n', netns, 'address', 'add', `${addresses[index]}/${bits}`, 'dev', 'eth0', ...nodad)
    await run('ip', '-n', netns, 'route', 'add', 'default', 'via', router)
  }
}

/** Nodes 1 and 2 are always there; each that is there speaks both families. */
function realNodes({ nodes }: RawCluster): RawNode[] {
  return [...NODES, NODE_3].flatMap(({ name, number }): RawNode[] => {
    const told = nodes.find(({ metadata }) => metadata.name === name)
    if (!told && number === NODE_3.number) return []
    const internal = [`192.168.1.${number}`, `fd00::${number}`].map((address) => ({ type: 'InternalIP', address }))
    const external = (told?.status.addresses ?? []).filter(({ type }) => type === 'ExternalIP')
    return [
      {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name, labels: told?.metadata.labels ?? {} },
        spec: { podCIDRs: [`10.42.${number}.0/24`, `fd42:0:0:${number}::/64`] },
        status: { addresses: [...internal, ...external] },
      },
    ]
  })
}

/** Makes it real. @returns it as it is told then: pods have addresses of their own, and where a CIDR began at a pod it still does */
async function become(random: RawCluster, round: number): Promise<RawCluster> {
  const pods = random.pods.map((pod) => {
    return { ...pod, metadata: { ...pod.metadata, uid: `${pod.metadata.uid}-${round}` } }
  })
  const objects: RawObject[] = [...realNodes(random), ...random.namespaces, ...pods]
  await lab.become(objects)
  const addresses = new Map(
    pods.flatMap((pod) =>
      (pod.status?.podIPs ?? []).map(({ ip }) => [ip, isSomebody(pod) ? realAddress(pod, familyOf(ip)) : ip] as const),
    ),
  )
  const policies: RawCluster['policies'] = JSON.parse(
    JSON.stringify(random.policies).replaceAll(/(?<=")[0-9a-f.:]+(?=\/\d+")/g, (ip) => addresses.get(ip) ?? ip),
  )
  const told = await lab.become([...objects, ...policies])
  await lab.settled()
  return clusterOf(told)
}

type Family = 0 | 1
const FAMILIES = [0, 1] as const
const familyOf = (address: string): Family => (address.includes(':') ? 1 : 0)
const realAddress = (pod: RawPod, family: Family) => lab.pod(idOf(pod)).addresses[family] ?? ''

interface End {
  readonly what: string
  readonly netns: string
  readonly isPod: boolean
  /** IPv4, IPv6. */
  readonly addresses: readonly string[]
}

function endsOf({ pods }: RawCluster): End[] {
  const nodes = [...NODES, NODE_3].map(({ name, number }) => {
    return { what: name, netns: name, isPod: false, addresses: [`192.168.1.${number}`, `fd00::${number}`] }
  })
  const ofPods = pods.filter(isSomebody).map((pod) => {
    const { netns, addresses } = lab.pod(idOf(pod))
    return { what: idOf(pod), netns, isPod: true, addresses }
  })
  return [...ofPods, ...nodes, { what: 'world', isPod: false, ...WORLD }]
}

function sitesOf({ pods }: RawCluster): Site[] {
  return NODES.map(({ name }) => ({
    nodeName: name,
    wired: pods
      .filter((pod) => isSomebody(pod) && pod.spec.nodeName === name)
      .map((pod) => {
        const { uid = '' } = pod.metadata
        return { pod: idOf(pod), uid, addresses: lab.pod(idOf(pod)).addresses, isUnknown: false }
      }),
    mode: 'default',
    failsOpen: false,
  }))
}

function probesOf(cluster: RawCluster): (Probe & { readonly what: string })[] {
  const ends = endsOf(cluster)
  const sites = sitesOf(cluster)
  const pairs = ends.flatMap((from) =>
    ends.filter((to) => to !== from && (from.isPod || to.isPod)).map((to) => [from, to] as const),
  )
  const calls = pairs.flatMap(([from, to]) =>
    FAMILIES.flatMap((family) => SERVICES.map((service) => ({ from, to, family, ...service }))),
  )
  return calls.map(({ from, to, family, protocol, port }) => {
    const [source = '', destination = ''] = [from.addresses[family], to.addresses[family]]
    const flow: RawFlow = { source, destination, protocol, destinationPort: port }
    const judgements = sites.map((site) => judge(cluster, site, flow))
    const denial = judgements.find(({ passes }) => !passes)
    const why = denial?.why ?? judgements.map(({ why }) => why).join('; ')
    return {
      what: `${from.what} (${source}) to ${to.what} (${destination}) at ${port}/${protocol}, oracle: "${why}"`,
      ...{ netns: from.netns, protocol: lower(protocol), address: destination, port },
      expected: denial ? 'closed' : 'open',
    }
  })
}

const seen = { open: 0, closed: 0 }
let round = 0
for (const [seed, count] of [
  [SEED, CLUSTERS.fixed],
  [Math.floor(Math.random() * 2 ** 31), CLUSTERS.fresh],
] as const)
  t.test(`of random clusters of BRMTEST_SEED=${seed}, every call comes out as the oracle says`, async (t) => {
    for (const [index, random] of fc.sample(cluster, { seed, numRuns: count }).entries()) {
      const real = await become(random, ++round)
      const probes = probesOf(real)
      for (const { expected } of probes) seen[expected]++
      const wrong = await lab.lab.differences(probes)
      t.same(wrong, [], `cluster ${index}${wrong.length > 0 ? `: ${JSON.stringify(objectsOf(real))}` : ''}`)
    }
  })

t.test('what was called was often open, and often closed', async (t) => {
  t.ok(seen.open > 1_000 && seen.closed > 1_000, JSON.stringify(seen))
})
