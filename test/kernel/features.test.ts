import { readlinkSync } from 'node:fs'
import t from 'tap'
import { KernelError } from '../../agent/kernel/errors.ts'
import { probeEncapsulations } from '../../agent/kernel/features.ts'
import { ENCAPSULATIONS } from '../../agent/kernel/modules.ts'
import { ipLines } from './node.ts'
import { capture, enterScratchNode, makeNetns } from './scratch.ts'

/* What the agent finds out about the kernel is what `ip` finds out. */
await enterScratchNode()
await makeNetns('other')

for (const kind of ENCAPSULATIONS)
  t.test(`${kind} is possible if and only if ip can make such a link`, async (t) => {
    const outcome = (await probeEncapsulations([kind])).get(kind)
    const parameters = kind === 'vxlan' ? ['id', '1', 'dstport', '8472'] : []
    const tried = await capture('ip', ['-n', 'other', 'link', 'add', 'probe', 'type', kind, ...parameters])
    if (tried.exitCode === 0) {
      t.equal(outcome, 'possible')
      await capture('ip', ['-n', 'other', 'link', 'delete', 'probe'])
    } else {
      t.type(outcome, KernelError)
      t.match(outcome, { errno: 'EOPNOTSUPP', message: `link add probe0 type ${kind}` })
    }
  })

t.test('several are asked for at once; nothing else is tried', async (t) => {
  const outcomes = await probeEncapsulations(['wireguard', 'vxlan'])
  t.same([...outcomes.keys()], ['wireguard', 'vxlan'])
  t.equal((await probeEncapsulations([])).size, 0)
})

t.test('neither the node nor the process notices', async (t) => {
  const node = async () => (await ipLines(undefined, '-o', 'link', 'show')).join('\n')
  const netns = readlinkSync('/proc/self/ns/net')
  const before = await node()
  const probes = Array.from({ length: 20 }, () => probeEncapsulations(ENCAPSULATIONS))
  t.equal(readlinkSync('/proc/self/ns/net'), netns, 'the thread is back at once')
  await Promise.all(probes)
  t.equal(await node(), before)
  t.equal(readlinkSync('/proc/self/ns/net'), netns)
})
