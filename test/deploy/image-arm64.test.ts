import t from 'tap'
import { runArm64Machine } from './arm64-machine.ts'
import { unpackImage } from './unpacked-image.ts'

const DONE = { exitCode: 0 }
const { root } = await unpackImage(t, 'arm64')

for (const pagesKib of [4, 16] as const)
  t.test(`on arm64 with pages of ${pagesKib} KiB the image wires a pod, with Debian's own kernel`, async (t) => {
    const steps = await runArm64Machine(pagesKib, root)
    const step = (name: string) => steps.get(name) ?? { exitCode: -1, output: 'it was not made' }
    t.match(step('machine'), { ...DONE, output: 'aarch64' })
    t.match(step('pages'), { ...DONE, output: new RegExp(`: +${pagesKib} kB`) })
    t.match(step('ready'), { ...DONE, output: '"msg":"ready"' })
    for (const name of ['status', 'check', 'delete', 'sigterm']) t.match(step(name), { ...DONE, output: /^$/ }, name)
    t.match(step('add'), DONE)
    const { ips } = JSON.parse(step('add').output)
    t.match(ips, [{ address: '10.42.0.1/32' }, { address: 'fd42::1/128' }])
    for (const name of ['ipv4', 'ipv6', 'out']) t.match(step(name), { ...DONE, output: '0% packet loss' }, name)
    t.match(step('tables'), { ...DONE, output: 'table inet bramble-policy' })
    t.match(JSON.parse(step('ctl').output), { nodeName: 'pi', pods: 1, problems: [] })
    if (!t.passing()) t.comment(...[...steps].map(([name, { output }]) => `${name}: ${output}`))
  })
