import { setTimeout as sleep } from 'node:timers/promises'
import { NODE_ROUTE_PROTOCOL } from '../agent/ownership.ts'
import { run } from '../test/kernel/scratch.ts'
import type { Agent } from './agent.ts'
import { BIG, makeRealNode, SELF_OPTIONS, SELF_POD_CIDRS, writeManifests } from './big-cluster.ts'
import { KernelWrites } from './kernel-writes.ts'
import type { Lab } from './lab.ts'
import { type Row, valueRow } from './table.ts'

/** The agent gives memory back after 5 s without calls; the last call asked whether it is ready. */
const SETTLE_MS = 7_000

/** An agent that meets a cluster of thousands, by a folder of manifests: until its routes are there, and what it costs then. */
export async function manyNodes(lab: Lab): Promise<Row[]> {
  const folder = writeManifests(BIG)
  const podCidrs = SELF_POD_CIDRS.flatMap((cidr) => ['--pod-cidr', cidr])
  const options = ['--datastore', 'local', '--cluster-dir', folder, ...podCidrs, ...SELF_OPTIONS]
  const seconds = { fromView: [] as number[], fromStart: [] as number[] }
  const mib = { settled: [] as number[], most: [] as number[] }
  for (let round = 0; round < Math.min(3, lab.rounds); round++) {
    const name = `cold${round}`
    const node = await makeRealNode(name)
    const writes = new KernelWrites(node)
    const startedMs = performance.now()
    await lab.withAgent(
      options,
      async (agent) => {
        const [viewAtMs = Number.NaN] = agent.saidAtMs('the cluster changed')
        await untilSet(agent)
        seconds.fromView.push((performance.timeOrigin + writes.lastMs - viewAtMs) / 1000)
        seconds.fromStart.push((writes.lastMs - startedMs) / 1000)
        writes.close()
        await expectRoutes(name, BIG - 1)
        if (round > 0) return
        mib.most.push(agent.peakRssMib())
        await sleep(SETTLE_MS)
        mib.settled.push(agent.rssMib())
      },
      node,
    )
    await run('ip', 'netns', 'delete', name)
  }
  const nodes = BIG.toLocaleString('en')
  return [
    valueRow(`${nodes} nodes from cold, view to last kernel write`, 's', seconds.fromView, 5),
    valueRow('… from the start of the agent, YAML manifests', 's', seconds.fromStart),
    valueRow(`agent RSS with ${nodes} nodes`, 'MiB', mib.settled, 128),
    valueRow('… at most, until then', 'MiB', mib.most),
  ]
}

async function untilSet(agent: Agent): Promise<void> {
  for (let waitedMs = 0; agent.saidAtMs('network between nodes set').length === 0; waitedMs += 20) {
    if (waitedMs > 60_000) throw new Error('the agent has set no network between nodes')
    await sleep(20)
  }
}

/** A bench of routes that are not there measures nothing. */
async function expectRoutes(netns: string, peers: number): Promise<void> {
  for (const family of ['-4', '-6']) {
    const routes = await run('ip', family, '-n', netns, 'route', 'show', 'proto', String(NODE_ROUTE_PROTOCOL))
    const count = routes.split('\n').filter((line) => line.includes(' via ')).length
    if (count !== peers) throw new Error(`${count} routes to other nodes (${family}), and not ${peers}`)
  }
}
