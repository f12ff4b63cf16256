import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import type { ClusterNode, ClusterView } from '../../agent/cluster/view.ts'
import { type Change, DesiredNetwork } from '../../agent/desired/network.ts'
import { KINDS, NO_OBJECTS, type NodeObjects } from '../../agent/desired/objects.ts'
import type { Netlink } from '../../agent/kernel/netlink.ts'
import type { Nftables } from '../../agent/kernel/nftables.ts'
import { type NodeSubsystems, nodeSubsystems } from '../../agent/nodes/subsystems.ts'
import { diff } from '../../agent/reconcile/diff.ts'
import type { Subsystem } from '../../agent/reconcile/subsystem.ts'
import { type ClusterState, changedBetween, factsIn, SELF_NAME, type StateList, viewOf } from './cluster-state.ts'
import { DUAL_STACK } from './dual-stack.ts'
import { ENCRYPTED } from './encrypted.ts'
import { IPV6_ONLY } from './ipv6-only.ts'
import { kernelText, sortedLines } from './kernel-text.ts'
import { shuffled } from './order.ts'

/** What is there at the end depends on the cluster's state, and not on the way that led there. */
const LISTS = [DUAL_STACK, IPV6_ONLY, ENCRYPTED]

/** Asked for nothing but which objects are the same: no kernel is needed for that. */
const SUBSYSTEMS: NodeSubsystems = nodeSubsystems(
  undefined as unknown as Netlink,
  undefined as unknown as Nftables,
  undefined,
  true,
)

/** The agent's memory of a node and a kernel that does what it is told. */
class Replay {
  readonly #list: StateList
  #view: ClusterView | undefined
  #desired: DesiredNetwork | undefined
  readonly #kernel = new Map(KINDS.map((kind) => [kind, new Map<string, unknown>()]))

  constructor(list: StateList) {
    this.#list = list
  }

  get nodes(): ReadonlyMap<string, ClusterNode> {
    return this.#view?.nodes ?? new Map()
  }

  /** As NodeNetwork does it: the whole kernel is compared where this node itself is another, else what changed. */
  update(view: ClusterView, changed: Iterable<string>): void {
    const isAboutUs = view.nodes.get(SELF_NAME) !== this.#view?.nodes.get(SELF_NAME)
    this.#view = view
    if (this.#desired && !isAboutUs) this.#bringAbout(this.#desired.update(view, changed))
    else {
      const facts = factsIn(this.#list, view)
      if (!isDeepStrictEqual(facts, this.#desired?.facts)) this.#desired = undefined
      this.#desired ??= new DesiredNetwork(facts, this.#list.settings)
      this.#desired.update(view)
      this.#bringAbout({ before: this.objects, after: this.#desired.objects })
    }
  }

  get objects(): NodeObjects {
    const lists = KINDS.map((kind) => [kind, [...(this.#kernel.get(kind)?.values() ?? [])]])
    return Object.fromEntries(lists)
  }

  /** All that can be seen of it. */
  get outcome() {
    return {
      kernel: sortedLines(kernelText(this.objects)),
      wanted: sortedLines(kernelText(this.#desired?.objects ?? NO_OBJECTS)),
      tables: this.objects.masqueradeTables.map(({ definition }) => definition),
      problems: this.#desired?.problems.toSorted(),
      mtuBytes: this.#desired?.mtuBytes,
      uplinks: this.#desired?.uplinks,
    }
  }

  #bringAbout({ before, after }: Change): void {
    for (const kind of KINDS) {
      const subsystem = SUBSYSTEMS[kind] as Subsystem<unknown>
      const { missing, changed, extra } = diff<unknown>(after[kind], before[kind], subsystem)
      const objects = this.#kernel.get(kind)
      for (const object of [...missing, ...changed.map(({ desired }) => desired)])
        objects?.set(subsystem.key(object), object)
      for (const object of extra) objects?.delete(subsystem.key(object))
    }
  }
}

/** An agent that starts in this state. */
function atOnce(list: StateList, { nodes }: ClusterState) {
  const replay = new Replay(list)
  replay.update(viewOf(nodes), [])
  return replay.outcome
}

function go(replay: Replay, { nodes }: ClusterState): void {
  const view = viewOf(nodes)
  replay.update(view, changedBetween(replay.nodes, view.nodes))
}

for (const list of LISTS) {
  const { states, title } = list
  const ends = new Map(states.map((state) => [state, atOnce(list, state)]))

  t.test(title, async (t) => {
    for (const state of states)
      t.test(state.name, async (t) => {
        t.same(ends.get(state)?.kernel, sortedLines(state.kernel))
        t.same(ends.get(state)?.problems, (state.problems ?? []).toSorted())
      })

    t.test('from each state to each other one', async (t) => {
      for (const from of states)
        for (const to of states) {
          const replay = new Replay(list)
          go(replay, from)
          go(replay, to)
          t.same(replay.outcome, ends.get(to), `from "${from.name}" to "${to.name}"`)
        }
    })

    for (const [order, sequence] of [
      ['in their order', states],
      ['in reverse', states.toReversed()],
      ['each of them twice', states.flatMap((state) => [state, state])],
    ] as const)
      t.test(`all states ${order}`, async (t) => {
        const replay = new Replay(list)
        for (const state of sequence) {
          go(replay, state)
          t.same(replay.outcome, ends.get(state), state.name)
        }
      })

    t.test(
      'any states in any order, node by node or many at once, told twice, and told of what did not change',
      async () => {
        const step = fc.record({
          state: fc.constantFrom(...states),
          /** How many nodes change in one update. */
          atOnce: fc.constantFrom(1, 2, 1_000),
          /** In which order they change. */
          order: fc.nat(),
          /** All nodes are other objects than before, though they say the same. */
          isCopied: fc.boolean(),
          isToldOfAll: fc.boolean(),
          /** The cluster has nobody for a moment. */
          isEmptyBefore: fc.boolean(),
        })
        fc.assert(
          fc.property(fc.array(step, { minLength: 1, maxLength: 6 }), (steps) => {
            const replay = new Replay(list)
            for (const { state, atOnce, order, isCopied, isToldOfAll, isEmptyBefore } of steps) {
              if (isEmptyBefore) replay.update(viewOf([]), replay.nodes.keys())
              const target = new Map(viewOf(state.nodes).nodes)
              if (isCopied) for (const [name, node] of target) target.set(name, { ...node })
              const changes = shuffled(changedBetween(replay.nodes, target), order)
              const nodes = new Map(replay.nodes)
              for (let start = 0; start < changes.length; start += atOnce) {
                const batch = changes.slice(start, start + atOnce)
                for (const name of batch) {
                  const node = target.get(name)
                  if (node) nodes.set(name, node)
                  else nodes.delete(name)
                }
                replay.update({ nodes: new Map(nodes) }, isToldOfAll ? [...nodes.keys(), ...batch, 'nobody'] : batch)
              }
              assert.deepEqual(replay.outcome, ends.get(state), state.name)
            }
          }),
          { numRuns: 200 },
        )
      },
    )
  })
}
