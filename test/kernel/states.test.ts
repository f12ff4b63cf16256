import t from 'tap'
import type { StateList } from '../states/cluster-state.ts'
import { DUAL_STACK } from '../states/dual-stack.ts'
import { IPV6_ONLY } from '../states/ipv6-only.ts'
import { enterScratchNode, makeNetns } from './scratch.ts'
import { AgentLab, InProcessLab, makeNode } from './state-lab.ts'
import { replay, SEED } from './state-replay.ts'

/**
 * The named states of a cluster, one after the other, in a real kernel: each leaves there what it says, whatever was
 * before. Those that need more than VXLAN are for the virtual machine.
 */
await enterScratchNode()

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
const told = new InProcessLab(DUAL_STACK, SEED)
t.teardown(() => Promise.all([told, ...labs].map((lab) => lab.close())))
await Promise.all(labs.map((lab) => lab.start()))

for (const [index, lab] of labs.entries()) {
  const { title, states } = LISTS[index] ?? DUAL_STACK
  replay(`${title}, an agent with a folder of manifests`, states, lab)
}
replay(`${DUAL_STACK.title}, told node by node what changed`, withVxlanAlone(DUAL_STACK).states, told)
