import t from 'tap'
import { DUAL_STACK } from '../../states/dual-stack.ts'
import { ENCRYPTED, PRIVATE_KEY } from '../../states/encrypted.ts'
import { enterScratchNode } from '../scratch.ts'
import { InProcessLab, makeNode } from '../state-lab.ts'
import { replay, SEED } from '../state-replay.ts'

/* The named states that need IPIP, GRE and WireGuard, among others: in the virtual machine of `make test-vm`. */
t.setTimeout(300_000) // of all together; alone, a file has 30 s
await enterScratchNode()
await makeNode(DUAL_STACK)

// The others go through all states, and in all orders; this machine is a slow one.
const few = DUAL_STACK.states.filter(
  ({ needsIpip, nodes }, index) => needsIpip || (index % 4 === 0 && nodes.length < 10),
)
const plain = new InProcessLab(DUAL_STACK, SEED)
replay(DUAL_STACK.title, few, plain, ['in any order'])
t.test('one agent ends, and another one encrypts', () => plain.close())

const encrypted = new InProcessLab(ENCRYPTED, SEED, PRIVATE_KEY)
replay(ENCRYPTED.title, ENCRYPTED.states, encrypted, ['in any order'])
t.teardown(() => encrypted.close())
