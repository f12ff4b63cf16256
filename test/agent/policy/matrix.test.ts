import t, { type Test } from 'tap'
import { Evaluator } from '../../../agent/policy/evaluate.ts'
import { desiredPolicy } from '../../../agent/ruleset/desired.ts'
import { renderTable } from '../../../agent/ruleset/render.ts'
import { trace } from '../ruleset/tracer.ts'
import { Ruleset } from '../ruleset/tracer-tables.ts'
import { clusterOf, podAddresses, type RawObject } from './clusters.ts'
import { inputOf, packetOf } from './clusters-input.ts'
import { after, BASE, isOpen, type MatrixCase, type Place, PROBES, placed, probeName, reachOf } from './matrix.ts'
import { clusterCases } from './matrix-cluster.ts'
import { cyclonusCases } from './matrix-cyclonus.ts'
import { upstreamCases } from './matrix-upstream.ts'
import { judgeWay, type Site, wiredAsTold } from './oracle.ts'
import type { RawCluster, RawFlow, RawNode } from './oracle-objects.ts'

const FAMILIES = [4, 6] as const
const NODES = [1, 2].map(
  (number): RawNode => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: `node${number}` },
    spec: { podCIDRs: [`10.42.${number}.0/24`, `fd42:0:0:${number}::/64`] },
    status: { addresses: [{ type: 'InternalIP', address: `192.168.1.${number}` }] },
  }),
)

/** Pods called b are on a node of their own; each that is made, again or not, gets an address that nobody had. */
class Places {
  readonly #places = new Map<string, Place>()

  of(key: string, uid = `uid-${key}`): Place {
    const number = key.endsWith('/b') ? 2 : 1
    const known = this.#places.get(uid)
    const place = known ?? { nodeName: `node${number}`, addresses: podAddresses(number, 10 + this.#places.size) }
    this.#places.set(uid, place)
    return place
  }
}

/** What one node's agent makes of the cluster. */
class Agent {
  readonly #site: Site
  readonly #evaluator: Evaluator
  readonly #ruleset = new Ruleset()

  constructor(cluster: RawCluster, nodeName: string) {
    this.#site = { nodeName, wired: wiredAsTold(cluster, nodeName), mode: 'default', failsOpen: false }
    const input = inputOf(cluster, this.#site)
    this.#evaluator = new Evaluator(input)
    this.#ruleset.apply(renderTable(desiredPolicy(input)))
  }

  evaluates(flow: RawFlow): boolean {
    return this.#evaluator.evaluate(flow).isAllowed
  }

  lets(flow: RawFlow): boolean {
    return trace(this.#ruleset, packetOf(flow, this.#site)).passes
  }
}

for (const [name, casesOf] of Object.entries({ upstreamCases, cyclonusCases, clusterCases }))
  for (const family of FAMILIES)
    t.test(`${name} over IPv${family}: by hand, oracle, evaluator and table say the same`, async (t) => {
      const places = new Places()
      const cases = casesOf((pod) => places.of(pod).addresses[family === 4 ? 0 : 1] ?? '')
      for (const one of cases) walk(t, one, family, places)
      t.ok(cases.length > 10, `${cases.length} cases`)
    })

function walk(t: Test, { name, steps }: MatrixCase, family: 4 | 6, places: Places): void {
  let objects: readonly RawObject[] = BASE
  for (const [index, step] of steps.entries()) {
    objects = after(objects, step)
    const told = objects.map((one) => {
      if (one.kind !== 'Pod') return one
      return placed(one, places.of(`${one.metadata.namespace}/${one.metadata.name}`, one.metadata.uid))
    })
    const cluster = clusterOf([...NODES, ...told])
    const agents = NODES.map((node) => new Agent(cluster, node.metadata.name))
    const wrong = PROBES.flatMap((probe) =>
      flowsOf(cluster, family, probe).flatMap(({ from, to, flow }) => {
        const reach = reachOf(step, probe)
        const says = {
          oracle: judgeWay(cluster, flow).passes,
          ...(reach && { hand: isOpen(reach, from, to) }),
          evaluator: agents.every((agent) => agent.evaluates(flow)),
          table: agents.every((agent) => agent.lets(flow)),
        }
        return new Set(Object.values(says)).size > 1 ? [{ from, to, probe: probeName(probe), says }] : []
      }),
    )
    if (wrong.length > 0) t.same(wrong, [], `${name}, step ${index}`)
  }
}

function flowsOf({ pods }: RawCluster, family: 4 | 6, { protocol, port }: (typeof PROBES)[number]) {
  const ends = pods.map(({ metadata, status }) => ({
    key: `${metadata.namespace}/${metadata.name}`,
    address: status?.podIPs?.[family === 4 ? 0 : 1]?.ip ?? '',
  }))
  return ends.flatMap((from) =>
    ends.map((to) => {
      const flow: RawFlow = { source: from.address, destination: to.address, protocol, destinationPort: port }
      return { from: from.key, to: to.key, flow }
    }),
  )
}
