import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { run } from '../test/kernel/scratch.ts'
import { BIG, makeRealNode, SMALL } from './big-cluster.ts'
import { startClusterProcess } from './cluster-process.ts'
import type { Lab } from './lab.ts'
import { percentile } from './stats.ts'
import { type Row, ratioRow, valueRow } from './table.ts'

const SCRIPT = fileURLToPath(new URL('changing-cluster.ts', import.meta.url))
/** Nodes that are added, and then moved, before it is the other cluster's turn. */
const BLOCK = 25
const BLOCKS_PER_ROUND = 2
const RESYNCS = 3
/** The agent gives memory back 5 s after a look at everything. */
const SETTLE_MS = 7_000

/** A cluster of thousands and one of a hundred, on a node each: what one node that comes or changes costs, and a look at all. */
export async function oneNode(lab: Lab): Promise<Row[]> {
  const big = await startCluster(lab, BIG)
  const small = await startCluster(lab, SMALL)
  const ms = { big: [] as number[], small: [] as number[], added: [] as number[], moved: [] as number[] }
  for (let block = 0; block < BLOCKS_PER_ROUND * lab.rounds; block++)
    for (const [cluster, all] of [
      [big, ms.big],
      [small, ms.small],
    ] as const) {
      const { added, moved } = await cluster.ask<{ added: number[]; moved: number[] }>(`change ${BLOCK}`)
      all.push(...added, ...moved)
      if (cluster === big) ms.added.push(...added)
      if (cluster === big) ms.moved.push(...moved)
    }
  const cpuSeconds: number[] = []
  for (let look = 0; look < RESYNCS; look++) cpuSeconds.push((await big.ask<number>('resync')) / 1000)
  const rssAfterLooks = await big.ask<number>('rss')
  await sleep(SETTLE_MS)
  const rss = await big.ask<number>('rss')
  for (const cluster of [big, small]) lab.diskBytes.push(await cluster.end())
  const [nodes, few] = [BIG.toLocaleString('en'), SMALL]
  const peer = { name: `at ${few} nodes`, samples: ms.small }
  const p99 = (samples: readonly number[]) => [percentile(samples, 0.99)]
  return [
    ratioRow(`one node added or changed at ${nodes}, event to kernel`, 'ms', ms.big, peer),
    valueRow('… p99', 'ms', p99(ms.big), 20),
    ratioRow('… p99, independent of the size', 'ms', p99(ms.big), { ...peer, samples: p99(ms.small) }, 1.5),
    valueRow('… added', 'ms', ms.added),
    valueRow('… changed', 'ms', ms.moved),
    valueRow(`full resync at ${nodes} nodes, nothing changed, CPU time`, 's', cpuSeconds, 0.5),
    valueRow('agent RSS then, nodes from the API server', 'MiB', [rss]),
    valueRow('… at the last resync', 'MiB', [rssAfterLooks]),
  ]
}

async function startCluster(lab: Lab, count: number) {
  const name = `of-${count}`
  const node = await makeRealNode(name)
  const cluster = await startClusterProcess(node, SCRIPT, lab.programs.agent, String(count))
  return {
    ask: cluster.ask,
    async end(): Promise<number> {
      const diskBytes = await cluster.ask<number>('end')
      cluster.end()
      await run('ip', 'netns', 'delete', name)
      return diskBytes
    },
  }
}
