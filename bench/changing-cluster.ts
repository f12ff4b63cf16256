import { setTimeout as sleep } from 'node:timers/promises'
import { run } from '../test/kernel/scratch.ts'
import { startAgent } from './agent.ts'
import { startApiServer } from './api-server.ts'
import { nodeName, nodeObject, SELF_OPTIONS } from './big-cluster.ts'
import { answerCommands } from './cluster-process.ts'
import { KernelWrites } from './kernel-writes.ts'

/*
 * The cluster of one real node, on that node: its API server, whose watch tells each change when it happens, the agent,
 * and a listener that hears what the agent makes of it.
 *
 *     node bench/changing-cluster.ts AGENT NODES < commands > answers
 *
 * One line each way: `change TIMES` gives milliseconds from an event to its last kernel write, for as many nodes that are
 * added and as many that change their address; `resync` the agent's CPU time for a look at everything, in milliseconds;
 * `rss` its memory in MiB; `end` the bytes that it wrote to disks.
 */
const NODES = '/api/v1/nodes'
const OWN_NETNS = '/proc/self/ns/net'
/** The next event finds an agent that has turned to other things. */
const PAUSE_MS = 5
/** Between two ticks of the clock by which the kernel counts processor time there are 10 ms. */
const QUIET_MS = 400
/** Less than this is no look at anything. */
const LOOK_MS_MIN = 100

const [, , program = '', count = ''] = process.argv
const writes = new KernelWrites(OWN_NETNS)
const { double, kubeconfig } = await startApiServer()
for (let number = 0; number < Number(count); number++) double.objects.put(NODES, nodeObject(number))
const agent = await startAgent(program, ['--datastore', 'kubernetes', '--kubeconfig', kubeconfig, ...SELF_OPTIONS])
while (agent.saidAtMs('network between nodes set').length === 0) await sleep(20)
let next = Number(count)

await answerCommands({
  change: (times) => change(Number(times)),
  resync,
  rss: async () => agent.rssMib(),
  end: async () => {
    const bytes = agent.diskBytes()
    await agent.stop()
    return bytes
  },
})

async function change(times: number): Promise<{ added: number[]; moved: number[] }> {
  const ms = { added: [] as number[], moved: [] as number[] }
  const first = next
  for (; next < first + times; next++) {
    ms.added.push(await timed(nodeObject(next), 'added'))
    ms.moved.push(await timed(nodeObject(next, 1), 'moved'))
  }
  // Away with them, so that the cluster keeps its size; not timed.
  for (let number = first; number < next; number++) double.objects.delete(NODES, nodeName(number))
  for (let quietMs = 0; quietMs < 100; quietMs = performance.now() - writes.lastMs) await sleep(20)
  return ms
}

async function timed(node: ReturnType<typeof nodeObject>, kind: 'added' | 'moved'): Promise<number> {
  const isFar = node.status.addresses[0]?.address.startsWith('172.17.')
  const routes = node.spec.podCIDRs.map((cidr) => `route ${cidr}`)
  const fdb = `fdb ${node.status.addresses[0]?.address}`
  // Behind VXLAN a node that moves keeps its routes: they lead to its end of the tunnel.
  const expected = kind === 'added' ? [...routes, ...(isFar ? [fdb] : []), 'ruleset'] : isFar ? [fdb] : routes
  const written = writes.all(expected)
  const startedMs = performance.now()
  double.objects.put(NODES, node)
  await written
  const tookMs = writes.lastMs - startedMs
  await sleep(PAUSE_MS * (1 + Math.random()))
  return tookMs
}

/** An address that comes and goes makes the agent look at everything; it is over when the processor is idle again. */
async function resync(): Promise<number> {
  const startedMs = performance.now()
  const before = agent.cpuMs()
  const spentMs = () => agent.cpuMs() - before
  for (const verb of ['add', 'delete']) await run('ip', 'address', verb, '198.51.100.1/32', 'dev', 'eth0')
  while (spentMs() < LOOK_MS_MIN) {
    if (performance.now() - startedMs > 60_000) throw new Error('the agent has not looked at its node')
    await sleep(20)
  }
  let cpuMs = 0
  for (let quietSinceMs = performance.now(); performance.now() - quietSinceMs < QUIET_MS; await sleep(20)) {
    if (spentMs() !== cpuMs) quietSinceMs = performance.now()
    cpuMs = spentMs()
  }
  return cpuMs
}
