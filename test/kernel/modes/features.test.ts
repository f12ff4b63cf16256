import t from 'tap'
import { probeEncapsulations } from '../../../agent/kernel/features.ts'
import { ENCAPSULATIONS } from '../../../agent/kernel/modules.ts'
import { enterScratchNode } from '../scratch.ts'

/* These run where the kernel has every mode: in the virtual machine of `make test-vm`. */
await enterScratchNode()

t.test('a kernel that has all kinds of tunnels is found to have them', async (t) => {
  const outcomes = await probeEncapsulations(ENCAPSULATIONS)
  t.same(
    [...outcomes],
    ENCAPSULATIONS.map((kind) => [kind, 'possible']),
  )
})
