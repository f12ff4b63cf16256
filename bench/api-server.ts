import { mkdirSync, writeFileSync } from 'node:fs'
import { ApiDouble } from '../test/agent/cluster/kubernetes/api-double.ts'

/** An API server's double on this node's loopback, and the kubeconfig that leads to it. */
export async function startApiServer(): Promise<{ readonly double: ApiDouble; readonly kubeconfig: string }> {
  const double = await ApiDouble.start()
  const config = {
    'current-context': 'bench',
    contexts: [{ name: 'bench', context: { cluster: 'bench' } }],
    clusters: [{ name: 'bench', cluster: { server: double.url } }],
  }
  mkdirSync('/run/bench', { recursive: true })
  const kubeconfig = `/run/bench/kubeconfig-${process.pid}`
  writeFileSync(kubeconfig, JSON.stringify(config))
  return { double, kubeconfig }
}
