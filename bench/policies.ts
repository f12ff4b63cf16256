import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { run } from '../test/kernel/scratch.ts'
import { makeRealNode } from './big-cluster.ts'
import { startClusterProcess } from './cluster-process.ts'
import type { Lab } from './lab.ts'
import { EVERY_NAMESPACE, NAMESPACES, NODES, PODS_PER_NODE, POLICIES_PER_NAMESPACE } from './policed-objects.ts'
import { percentile } from './stats.ts'
import { type Row, ratioRow, valueRow } from './table.ts'

export const POLICED_CLUSTER = fileURLToPath(new URL('policed-cluster.ts', import.meta.url))
const NODE = 'policed'
/** The agent gives memory back 5 s after the last call. */
const SETTLE_MS = 7_000
const CHANGES_PER_ROUND = 20
const CHURN_S = { quick: 5, whole: 15 } as const

/** A thousand policies in a cluster of ten thousand pods: what they cost the agent, and a pod that starts. */
export async function policies(lab: Lab): Promise<Row[]> {
  const node = await makeRealNode(NODE)
  const cluster = await startClusterProcess(node, POLICED_CLUSTER, lab.programs.agent, EVERY_NAMESPACE)
  await cluster.ask('fill our')
  const seconds = { fromView: [] as number[], fromStart: [] as number[] }
  for (let round = 0; round < Math.min(3, lab.rounds); round++) {
    const { fromView, fromStart } = await cluster.ask<{ fromView: number; fromStart: number }>('restart')
    seconds.fromView.push(fromView)
    seconds.fromStart.push(fromStart)
  }
  const peak = await cluster.ask<number>('peak')
  await sleep(SETTLE_MS)
  const settled = await cluster.ask<number>('rss')
  const ms = await cluster.ask<{ own: number[]; other: number[]; policy: number[] }>(
    `change ${CHANGES_PER_ROUND * lab.rounds}`,
  )
  const add = await cluster.ask<{ policed: number[]; free: number[] }>(`add ${lab.rounds}`)
  const churn = await cluster.ask<number>(`churn ${lab.rounds === 1 ? CHURN_S.quick : CHURN_S.whole}`)
  await sleep(SETTLE_MS)
  const later = await cluster.ask<number>('rss')
  lab.diskBytes.push(await cluster.ask<number>('end'))
  cluster.end()
  await run('ip', 'netns', 'delete', NODE)
  const pods = (NODES * PODS_PER_NODE).toLocaleString('en')
  const count = (NAMESPACES * POLICIES_PER_NAMESPACE).toLocaleString('en')
  const all = [...ms.own, ...ms.other, ...ms.policy]
  return [
    valueRow(`${count} policies, ${pods} pods from cold, view to enforced`, 's', seconds.fromView, 3),
    valueRow('… from the start of the agent', 's', seconds.fromStart),
    valueRow('agent RSS then', 'MiB', [settled], 160),
    valueRow('… at most, until then', 'MiB', [peak]),
    valueRow('… after the changes, ADDs and churn below', 'MiB', [later]),
    valueRow('one label or policy changed, event to kernel', 'ms', all),
    valueRow('… p99', 'ms', [percentile(all, 0.99)], 50),
    valueRow('… label of a pod of another node', 'ms', ms.other),
    valueRow('… label of a pod of this node', 'ms', ms.own),
    valueRow('… policy', 'ms', ms.policy),
    valueRow('CPU time while 100 pods/s of other nodes are replaced, of one core', '%', [churn], 20),
    ratioRow(
      'ADD of a pod that policies select',
      'ms',
      add.policed,
      { name: 'that none selects', samples: add.free },
      1.5,
    ),
  ]
}
