import { readFileSync, writeFileSync } from 'node:fs'
import { hostname, release } from 'node:os'
import t from 'tap'
import type { Agent } from '../agent.ts'
import { sleep, until } from '../agent.ts'
import { type LabNode, startNode } from '../cluster.ts'
import { enterScratchNode, run } from '../scratch.ts'
import { addPods, announceAs, makeLab, N1, N2, N3, NODES, objectsOf, unreached, writeManifest } from './lab.ts'

/*
 * A kernel without VXLAN, as on Ubuntu for the Pi without linux-modules-extra-raspi: --routing auto does without, and
 * --routing vxlan says what to install. The module is unloaded, and the kernel cannot load it by itself.
 */
if (hostname() !== 'vm') throw new Error('this unloads the module vxlan: only for the virtual machine of make test-vm')
await enterScratchNode()
await makeLab()
await run('modprobe', '-a', 'ipip', 'ip_gre')
await run('rmmod', 'vxlan')
const loader = readFileSync('/proc/sys/kernel/modprobe', 'utf8')
writeFileSync('/proc/sys/kernel/modprobe', '/bin/false')
t.teardown(() => writeFileSync('/proc/sys/kernel/modprobe', loader)) // the machine's next test has it again

const agents = new Map<string, Agent>()
const ask = ({ name }: { readonly name: string }) => agents.get(name) as Agent
t.teardown(() => Promise.all([...agents.values()].map((agent) => agent.stop())))
async function startAll(...args: string[]): Promise<void> {
  await Promise.all(
    NODES.map(async (node) => {
      await agents.get(node.name)?.stop()
      agents.set(node.name, await startNode(node, ...args))
    }),
  )
}

for (const node of NODES) announceAs(node)
await startAll()
await addPods()

t.test('auto: nodes behind a router are met by ipip, those of the LAN directly, and that is no problem', async (t) => {
  await until('pods meet', async () => (await unreached(1476)).length === 0)
  const objects = await objectsOf(N1)
  t.match(objects, 'unicast 10.42.2.0/24 via 192.168.1.2 dev eth0')
  t.match(objects, 'unicast 10.42.3.0/24 via 192.168.2.3 dev bramble.ipip')
  for (const node of NODES) t.same((await ask(node).ask('status')).problems, [])
  const said = ask(N1).log.filter(({ msg }) => msg === 'the kernel cannot make a kind of tunnel')
  t.equal(said.length, 1, 'the log tells once')
  t.match(said[0]?.remedy, 'has no vxlan (module vxlan, CONFIG_VXLAN)')
})

t.test('such a node tells the others that it has ipip and no vxlan', async (t) => {
  const { metadata } = await ask(N3).ask('node manifest')
  t.same(metadata.annotations, { 'bramble.dev/node': '{"encapsulations":["ipip"]}' })
})

t.test('vxlan: one problem that names module and package, whatever the number of nodes; the agent stays', async (t) => {
  await startAll('--routing', 'vxlan')
  for (const node of NODES) {
    await until('it is said', async () => (await ask(node).ask('status')).problems.length > 0)
    const { problems } = await ask(node).ask('status')
    t.equal(problems.length, 1)
    t.match(problems[0], `has no vxlan (module vxlan, CONFIG_VXLAN): Debian has the module`)
    t.match(problems[0], `linux-image-${release()}`)
    t.match(problems[0], '"modprobe vxlan"')
    t.notMatch(await objectsOf(node), 'bramble.', 'and nothing goes by another way')
    const errors = ask(node).log.filter(({ level }) => Number(level) >= 50)
    t.same(errors, [], 'which is no error of ours')
  }
})

t.test('once the module is there, all is well within half a minute, without anybody doing anything', async (t) => {
  await run('modprobe', 'vxlan')
  const isWell = async (node: LabNode) => (await ask(node).ask('status')).problems.length === 0
  await until(
    'the agents have noticed',
    async () => {
      await sleep(1_000)
      return (await Promise.all(NODES.map(isWell))).every(Boolean)
    },
    90_000,
  )
  await until('pods meet', async () => (await unreached(1450)).length === 0)
  for (const node of NODES) t.same((await ask(node).ask('status')).problems, [])
  t.match(await objectsOf(N1), 'unicast 10.42.2.0/24 via 10.42.2.0 dev bramble.vxlan')
})

t.test(
  'auto, where one node of several has no vxlan: both ends take ipip to it, and vxlan among the others',
  async (t) => {
    // What the agent of n3 told while its kernel had none; the others' have it by now.
    announceAs(N3, { encapsulations: ['ipip'] })
    for (const node of [N1, N2]) announceAs(node, { encapsulations: ['vxlan', 'ipip'] })
    await startAll()
    await until('pods meet', async () => (await unreached(1450)).length === 0)
    for (const node of [N1, N2]) {
      const objects = await objectsOf(node)
      t.match(objects, 'unicast 10.42.3.0/24 via 192.168.2.3 dev bramble.ipip')
      // Between n1 and n2 IPv6 pods have no direct way: their LAN has IPv4 alone.
      t.match(objects, /^unicast fd42:0:0:[12]::\/64 via \S+ dev bramble\.vxlan/m)
    }
    t.match(await objectsOf(N3), 'unicast 10.42.1.0/24 via 192.168.1.1 dev bramble.ipip')
    t.notMatch(await objectsOf(N3), 'bramble.vxlan')
  },
)

t.test('when that node tells that it has vxlan, all change over, and the ipip links go', async (t) => {
  writeManifest(N3, await ask(N3).ask('node manifest'))
  await until('ipip is gone', async () =>
    (await Promise.all(NODES.map(objectsOf))).every((text) => !/bramble\.(ipip|gre)/.test(text)),
  )
  t.same(await unreached(1450), [])
})
