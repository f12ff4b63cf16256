import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { ViewProblem } from './problem.ts'
import type { ClusterSettings } from './settings.ts'
import { JoinError } from './view.ts'

/** A rollout takes a new agent for a good one after ten seconds: minReadySeconds of deploy/bramble.yaml. */
const PATIENCE_MS = 5_000

/**
 * Whether an agent with these options would get its pod CIDR from the API server, now; what was kept of an earlier agent
 * does not count. Redis gives out addresses to whoever asks, and is not asked.
 * @throws JoinError with the problem; KubeconfigError
 */
export async function tryCluster(
  { datastore, nodeName, kubeconfig }: Pick<ClusterSettings, 'datastore' | 'nodeName' | 'kubeconfig'>,
  log: Logger,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  if (datastore !== 'kubernetes') return
  const [{ kubernetesSource }, { parseOne }] = await Promise.all([
    import('./kubernetes/source.ts'),
    import('./yaml.ts'),
  ])
  const source = kubernetesSource({ nodeName, ...(kubeconfig && { kubeconfig }), parse: parseOne, log })
  let last: ViewProblem = { object: 'the API server', reason: 'has not answered in time' }
  const joined = source.join(([problem]) => (last = problem ?? last))
  const late = delay(patienceMs, undefined, { ref: false }).then(() => {
    throw new JoinError(`${last.object}: ${last.reason}`)
  })
  try {
    await Promise.race([joined, late])
  } finally {
    await source.close()
  }
}
