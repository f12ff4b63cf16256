import fc from 'fast-check'
import t, { type Test } from 'tap'
import { ApiClient } from '../../../../agent/cluster/kubernetes/client.ts'
import { KubernetesSource } from '../../../../agent/cluster/kubernetes/nodes.ts'
import { ANNOTATION, formatAnnouncement, parseNodeObject } from '../../../../agent/cluster/node-object.ts'
import type { ViewProblem } from '../../../../agent/cluster/problem.ts'
import type { Announcement, ClusterNode, ViewChange } from '../../../../agent/cluster/view.ts'
import type { WorkloadChange } from '../../../../agent/cluster/workloads.ts'
import { startRealServer } from './real-server.ts'
import { DoubleServer, type Server } from './server.ts'
import { until } from './until.ts'

const EAGER = { firstMs: 1, mostMs: 50 }
const SELF = 'pi-1'
const VXLAN: Announcement = { encapsulations: ['vxlan'] }
const ALL: Announcement = { encapsulations: ['vxlan', 'ipip', 'wireguard'] }

/** A source, and all that it has told. */
class Listener {
  readonly changes: ViewChange[] = []
  readonly source: KubernetesSource

  constructor(server: Server) {
    this.source = new KubernetesSource(new ApiClient(server.access), SELF, EAGER)
  }

  start(): void {
    this.source.start((change) => this.changes.push(change))
  }

  /** Without what is told before the nodes are listed: the addresses of Services may be known earlier. */
  get views(): readonly ViewChange[] {
    return this.changes.filter(({ view }) => view !== undefined)
  }

  get nodes(): ReadonlyMap<string, ClusterNode> | undefined {
    return this.changes.at(-1)?.view?.nodes
  }

  get problems(): readonly ViewProblem[] {
    return this.changes.at(-1)?.problems ?? []
  }

  /** All names that were told to have changed, in order. */
  get changed(): string[] {
    return this.changes.flatMap(({ changed }) => [...(changed ?? [])])
  }
}

/** The same for a view of a source and for what a server has. */
function comparable(nodes: Iterable<ClusterNode>): string {
  const sorted = [...nodes].sort((a, b) => (a.name < b.name ? -1 : 1))
  return JSON.stringify(sorted, (_, value) => (typeof value === 'bigint' ? String(value) : value))
}

async function hasAll(listener: Listener, server: Server): Promise<void> {
  const wanted = comparable((await server.nodes()).map(parseNodeObject))
  await until('the view is what the server has', () => comparable(listener.nodes?.values() ?? []) === wanted)
}

/** Each of the tests, with a server that has no nodes. */
function tests(t: Test, server: Server): void {
  const listen = (t: Test) => {
    const listener = new Listener(server)
    t.teardown(() => listener.source.close())
    return listener
  }
  t.afterEach(async () => {
    server.setAway(false)
    for (const node of await server.nodes()) await server.delete(parseNodeObject(node).name)
  })

  t.test('the view has all nodes, and follows them', async (t) => {
    await server.create({ name: 'pi-2', podCidrs: ['10.42.2.0/24', 'fd42:0:0:2::/64'], address: '192.168.1.2' })
    await server.create({ name: 'pi-3' })
    const listener = listen(t)
    listener.start()
    await until('a view', () => listener.nodes !== undefined)
    t.match(listener.views, [{ changed: new Set(['pi-2', 'pi-3']), problems: [] }])
    t.match(listener.nodes?.get('pi-2'), {
      podCidrs: [{ text: '10.42.2.0/24' }, { text: 'fd42:0:0:2::/64' }],
      addresses: ['192.168.1.2'],
    })
    await server.setAddress('pi-2', '192.168.1.22')
    await until('its address', () => listener.nodes?.get('pi-2')?.addresses[0] === '192.168.1.22')
    await server.create({ name: 'pi-4', podCidrs: ['10.42.4.0/24'] })
    await until('a new node', () => listener.nodes?.has('pi-4') === true)
    await server.delete('pi-3')
    await until('it is gone', () => listener.nodes?.has('pi-3') === false)
    t.same(listener.changed.slice(2), ['pi-2', 'pi-4', 'pi-3'])
    await hasAll(listener, server)
  })

  t.test('a heartbeat is told to nobody, and a node that did not change stays the same object', async (t) => {
    await server.create({ name: 'pi-2', podCidrs: ['10.42.2.0/24'], address: '192.168.1.2' })
    const listener = listen(t)
    listener.start()
    await until('a view', () => listener.nodes !== undefined)
    const before = listener.nodes?.get('pi-2')
    for (let beat = 0; beat < 5; beat++) await server.heartbeat('pi-2')
    await server.create({ name: 'pi-3' })
    await until('what came after', () => listener.nodes?.has('pi-3') === true)
    t.same(listener.changed, ['pi-2', 'pi-3'])
    t.equal(listener.views.length, 2)
    t.equal(listener.nodes?.get('pi-2'), before)
  })

  t.test('a node that cannot be parsed keeps what it said before, and is told by name', async (t) => {
    const good = { [ANNOTATION]: formatAnnouncement(VXLAN) }
    await server.create({ name: 'pi-2', annotations: good })
    await server.create({ name: 'pi-3', annotations: { [ANNOTATION]: 'rubbish' } })
    const listener = listen(t)
    listener.start()
    await until('a view', () => listener.nodes !== undefined)
    t.same([...(listener.nodes?.keys() ?? [])], ['pi-2'])
    t.match(listener.problems, [{ object: 'Node pi-3', reason: /^annotation bramble\.dev\/node is "rubbish"/ }])
    await server.annotate('pi-2', ANNOTATION, '{}')
    await until('it is told', () => listener.problems.length === 2)
    t.match(listener.problems.find(({ object }) => object === 'Node pi-2')?.reason, /stays in force$/)
    t.same(listener.nodes?.get('pi-2')?.announcement, VXLAN)
    for (const name of ['pi-2', 'pi-3']) await server.annotate(name, ANNOTATION, formatAnnouncement(ALL))
    await until('all is well', () => listener.problems.length === 0)
    t.same(listener.nodes?.get('pi-3')?.announcement, ALL)
  })

  t.test('while the server is away the last view stays, and that is told; then all is caught up', async (t) => {
    await server.create({ name: 'pi-2' })
    const listener = listen(t)
    listener.start()
    await until('a view', () => listener.nodes !== undefined)
    const before = listener.nodes
    server.setAway(true)
    await until('it is told', () => listener.problems.length === 1)
    t.match(listener.problems, [
      {
        object: `the API server ${server.access.server}`,
        reason: /^not reachable \(ECONN\w+\), for less than a minute; the last view stays in force$/,
      },
    ])
    t.equal(listener.nodes, before)
    await server.create({ name: 'pi-3' })
    server.setAway(false)
    await until('what happened meanwhile', () => listener.nodes?.has('pi-3') === true)
    await until('and all is well', () => listener.problems.length === 0)
  })

  t.test('a server that is away from the start is told, and there is no view', async (t) => {
    server.setAway(true)
    const listener = listen(t)
    listener.start()
    await until('it is told', () => listener.problems.length === 1)
    t.equal(listener.changes.at(-1)?.view, undefined)
    t.notMatch(listener.problems[0]?.reason, /stays in force/)
    server.setAway(false)
    await until('a view', () => listener.nodes !== undefined)
    t.same(listener.problems, [])
  })

  t.test('join waits until the node is there and has its CIDRs, and tells what it waits for', async (t) => {
    server.setAway(true)
    const { source } = listen(t)
    const told: (readonly ViewProblem[])[] = []
    const joined = source.join((problems) => told.push(problems))
    await until('it is away', () => told.length === 1)
    server.setAway(false)
    await until('there is no such node', () => told.length === 2)
    await server.create({ name: SELF })
    await until('it has no CIDRs', () => told.length === 3)
    await server.delete(SELF)
    await server.create({ name: SELF, podCidrs: ['10.42.1.0/24', 'fd42:0:0:1::/64'] })
    t.match(await joined, [{ text: '10.42.1.0/24' }, { text: 'fd42:0:0:1::/64' }])
    t.match(told[0], [{ object: /^the API server/, reason: /^not reachable/ }])
    t.match(told[1], [
      { object: 'Node pi-1', reason: 'the cluster has no node pi-1; is --node-name the name in kubectl get nodes?' },
    ])
    t.match(told[2], [{ object: 'Node pi-1', reason: /kube-controller-manager gives none: --allocate-node-cidrs/ }])
    t.same(told.at(-1), [], 'and in the end that it waits no more')
  })

  t.test('join ends when the source is closed', async (t) => {
    const { source } = listen(t)
    let isTold = false
    const joined = source.join(() => (isTold = true))
    const rejected = t.rejects(joined, { name: 'AbortError' })
    await until('it waits', () => isTold)
    await source.close()
    await rejected
  })

  t.test('what this node announces is written once, and others hear of it', async (t) => {
    await server.create({ name: SELF, annotations: { other: 'stays' } })
    const listener = listen(t)
    const patches = await server.patches()
    listener.source.announce(VXLAN)
    listener.start()
    await until('it is there', () => listener.nodes?.get(SELF)?.announcement !== undefined)
    t.same(listener.nodes?.get(SELF)?.announcement, VXLAN)
    t.equal((await server.annotationsOf(SELF)).other, 'stays')
    listener.source.announce(VXLAN)
    await server.heartbeat(SELF)
    await server.create({ name: 'last' })
    await until('what came after', () => listener.nodes?.has('last') === true)
    t.equal((await server.patches()) - patches, 1)
    listener.source.announce(ALL)
    await until('the new one', () => listener.nodes?.get(SELF)?.announcement?.encapsulations.length === 3)
    t.equal((await server.patches()) - patches, 2)
  })

  t.test('what is announced already is not written', async (t) => {
    await server.create({ name: SELF, annotations: { [ANNOTATION]: formatAnnouncement(VXLAN) } })
    const listener = listen(t)
    const patches = await server.patches()
    listener.source.announce(VXLAN)
    listener.start()
    await until('a view', () => listener.nodes !== undefined)
    await server.create({ name: 'last' })
    await until('what came after', () => listener.nodes?.has('last') === true)
    t.equal((await server.patches()) - patches, 0)
  })

  t.test('an announcement that somebody removes or spoils is back', async (t) => {
    await server.create({ name: SELF })
    const listener = listen(t)
    listener.source.announce(VXLAN)
    listener.start()
    const isThere = async () => {
      const text = (await server.annotationsOf(SELF))[ANNOTATION]
      return text === formatAnnouncement(VXLAN)
    }
    const back = async (what: string) => {
      for (let look = 0; !(await isThere()); look++) {
        if (look > 1000) throw new Error(`not back: ${what}`)
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      t.pass(what)
    }
    await back('at first')
    await server.annotate(SELF, ANNOTATION, null)
    await back('removed')
    await server.annotate(SELF, ANNOTATION, 'rubbish')
    await back('spoilt')
    await server.delete(SELF)
    await server.create({ name: SELF })
    await back('with the whole Node, which was made anew')
    server.setAway(true)
    await server.annotate(SELF, ANNOTATION, null)
    await server.compact()
    server.setAway(false)
    await back('while nobody could hear of it')
    await until('all is well', () => listener.problems.length === 0)
  })

  t.test('whatever happens in whatever order, the view is what the server has in the end', async (t) => {
    const name = fc.constantFrom(SELF, 'pi-2', 'pi-3', 'pi-4')
    const number = fc.integer({ min: 1, max: 250 })
    type Step = (isThere: Set<string>) => Promise<void>
    const step: fc.Arbitrary<Step> = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.tuple(name, number).map(
          ([name, n]): Step =>
            async (there) => {
              if (there.has(name)) return server.setAddress(name, `192.168.1.${n}`)
              there.add(name)
              await server.create({ name, podCidrs: [`10.42.${n}.0/24`], address: `192.168.1.${n}` })
            },
        ),
      },
      {
        weight: 2,
        arbitrary: name.map(
          (name): Step =>
            async (there) => {
              if (there.delete(name)) await server.delete(name)
            },
        ),
      },
      {
        weight: 2,
        arbitrary: fc.tuple(name, fc.constantFrom(VXLAN, ALL, null)).map(
          ([name, one]): Step =>
            async (there) => {
              if (there.has(name)) await server.annotate(name, ANNOTATION, one && formatAnnouncement(one))
            },
        ),
      },
      {
        weight: 1,
        arbitrary: name.map(
          (name): Step =>
            async (there) => {
              if (there.has(name)) await server.heartbeat(name)
            },
        ),
      },
      { weight: 2, arbitrary: fc.constant<Step>(async () => server.disconnect()) },
      { weight: 1, arbitrary: fc.constant<Step>(() => server.compact()) },
      {
        weight: 1,
        arbitrary: fc.constantFrom(true, false).map(
          (isAway): Step =>
            async () =>
              server.setAway(isAway),
        ),
      },
      { weight: 2, arbitrary: fc.constant<Step>(() => new Promise((resolve) => setTimeout(resolve, 3))) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
        const listener = new Listener(server)
        listener.start()
        const there = new Set<string>()
        for (const one of steps) await one(there)
        server.setAway(false)
        await hasAll(listener, server)
        const told = new Set(listener.changed)
        const untold = [...(listener.nodes?.keys() ?? [])].filter((name) => !told.has(name))
        await listener.source.close()
        for (const name of there) await server.delete(name)
        return untold.length === 0
      }),
      { numRuns: 30 },
    )
    t.pass('as a property')
  })
}

t.test("with the API server's double", async (t) => {
  const server = await DoubleServer.start()
  t.teardown(() => server.close())
  tests(t, server)
  await t.test('what a server restored from a backup does not know any more is announced again', async (t) => {
    const { objects } = server.double
    await server.create({ name: SELF })
    const backup = objects.version
    for (let beat = 0; beat < 10; beat++) await server.heartbeat(SELF)
    const listener = new Listener(server)
    t.teardown(() => listener.source.close())
    listener.source.announce(VXLAN)
    listener.start()
    await until('it is written', () => listener.nodes?.get(SELF)?.announcement !== undefined)
    server.setAway(true)
    objects.restoreAt(backup)
    await server.annotate(SELF, ANNOTATION, null)
    server.setAway(false)
    await until('and again', () => objects.version === backup + 2)
    t.match(await server.annotationsOf(SELF), { [ANNOTATION]: formatAnnouncement(VXLAN) })
  })
  await t.test('who may read nodes and no policies has all nodes, and no workloads', async (t) => {
    await server.create({ name: 'pi-2', podCidrs: ['10.42.2.0/24'] })
    for (const plural of ['pods', 'namespaces', 'networkpolicies']) server.double.forbidden.add(`list ${plural}`)
    const listener = new Listener(server)
    t.teardown(() => listener.source.close())
    const told: WorkloadChange[] = []
    listener.source.workloads.start((change) => told.push(change))
    await until('it is told', () => told.at(-1)?.problems.length === 3)
    listener.start()
    await until('a view', () => listener.nodes?.has('pi-2') === true)
    t.same(listener.problems, [])
    t.equal(told.at(-1)?.workloads, undefined)
    server.double.forbidden.clear()
    await until('all is known', () => told.at(-1)?.workloads !== undefined)
  })
  await t.test('who may not write is told, with the verb', async (t) => {
    await server.create({ name: SELF })
    server.double.forbidden.add('patch nodes')
    const listener = new Listener(server)
    t.teardown(() => listener.source.close())
    listener.source.announce(VXLAN)
    listener.start()
    await until('it is told', () => listener.problems.length === 1)
    t.match(listener.problems, [
      { object: 'Node pi-1', reason: /^annotation bramble\.dev\/node cannot be written: .*verb "patch" on "nodes"/ },
    ])
    server.double.forbidden.clear()
    await until('it is written', () => listener.nodes?.get(SELF)?.announcement !== undefined)
    await until('all is well', () => listener.problems.length === 0)
  })
})

const { KUBEBUILDER_ASSETS: assets } = process.env
if (assets)
  t.test('with a real API server', async (t) => {
    const server = await startRealServer(assets)
    t.teardown(() => server.close())
    tests(t, server)
  })
