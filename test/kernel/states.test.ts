import t from 'tap'
import type { ClusterState, StateList } from '../states/cluster-state.ts'
import { DUAL_STACK } from '../states/dual-stack.ts'
import { IPV6_ONLY } from '../states/ipv6-only.ts'
import { shuffled } from '../states/order.ts'
import { enterScratchNode, makeNetns } from './scratch.ts'
import { AgentLab, foreignText, InProcessLab, makeNode, type StateLab } from './state-lab.ts'

/**
 * The named states of a cluster, one after the other, in a real kernel: each leaves there what it says, whatever was
 * before. Those that need more than VXLAN are for the virtual machine.
 */
await enterScratchNode()
const seed = Number(process.env.BRMTEST_SEED ?? Date.now() % 1_000_000)
t.comment(`BRMTEST_SEED=${seed}`)

const withVxlanAlone = (list: StateList): StateList => ({
  ...list,
  states: list.states.filter(({ needsIpip }) => !needsIpip),
})
const LISTS = [withVxlanAlone(DUAL_STACK), withVxlanAlone(IPV6_ONLY)]

const labs: AgentLab[] = []
for (const [index, list] of LISTS.entries()) {
  const netns = await makeNetns(`node-${index}`)
  await makeNode(list, netns)
  labs.push(new AgentLab(list, netns))
}
await makeNode(DUAL_STACK)
const told = new InProcessLab(DUAL_STACK, seed)
t.teardown(() => Promise.all([told, ...labs].map((lab) => lab.close())))
await Promise.all(labs.map((lab) => lab.start()))

for (const [index, lab] of labs.entries()) {
  const { title, states } = LISTS[index] ?? DUAL_STACK
  replay(`${title}, an agent with a folder of manifests`, states, lab)
}
replay(`${DUAL_STACK.title}, told node by node what changed`, withVxlanAlone(DUAL_STACK).states, told)

function replay(title: string, states: readonly ClusterState[], lab: StateLab): void {
  t.test(title, async (t) => {
    const foreign = await foreignText(lab.netns)
    t.ok(foreign.some((line) => line.includes('flannel.1')))

    for (const [order, sequence] of [
      ['in their order', states],
      ['in reverse, each of them twice', states.toReversed().flatMap((state) => [state, state])],
      ['in any order', shuffled(states, seed)],
    ] as const)
      t.test(`all states ${order}`, async (t) => {
        for (const state of sequence) {
          await lab.go(state)
          await lab.settle(state)
        }
        await lab.lookAgain()
        t.same(await foreignText(lab.netns), foreign, 'what is not ours is as it was')
      })

    t.test('several states before it has settled in one', async (t) => {
      const sequence = shuffled([...states, ...states], seed + 1)
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
