import t from 'tap'
import type { ClusterState } from '../states/cluster-state.ts'
import { shuffled } from '../states/order.ts'
import { foreignText, type StateLab } from './state-lab.ts'

/** What fails in one order fails in it again: `BRMTEST_SEED=... node FILE`. */
export const SEED = Number(process.env.BRMTEST_SEED ?? Date.now() % 1_000_000)
t.comment(`BRMTEST_SEED=${SEED}`)

const SEQUENCES = {
  'in their order': (states: readonly ClusterState[]) => states,
  'in reverse, each of them twice': (states: readonly ClusterState[]) =>
    states.toReversed().flatMap((state) => [state, state]),
  'in any order': (states: readonly ClusterState[]) => shuffled(states, SEED),
}
type Order = keyof typeof SEQUENCES
const ORDERS = Object.keys(SEQUENCES) as Order[]

/** Each state leaves in the kernel what it says, whatever was before. */
export function replay(
  title: string,
  states: readonly ClusterState[],
  lab: StateLab,
  orders: readonly Order[] = ORDERS,
): void {
  t.test(title, async (t) => {
    const foreign = await foreignText(lab.netns)
    t.ok(foreign.some((line) => line.includes('flannel.1')))

    for (const order of orders)
      t.test(`all states ${order}`, async (t) => {
        for (const state of SEQUENCES[order](states)) {
          await lab.go(state)
          await lab.settle(state)
        }
        await lab.lookAgain()
        t.same(await foreignText(lab.netns), foreign, 'what is not ours is as it was')
      })

    t.test('several states before it has settled in one', async (t) => {
      const sequence = shuffled([...states, ...states], SEED + 1)
      for (let start = 0; start < sequence.length; start += 5) {
        const few = sequence.slice(start, start + 5)
        for (const state of few) await lab.go(state)
        for (const last of few.slice(-1)) await lab.settle(last)
      }
      await lab.lookAgain()
      t.same(await foreignText(lab.netns), foreign, 'what is not ours is as it was')
    })
  })
}
