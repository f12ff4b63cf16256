import { join } from 'node:path'
import type { Logger } from 'pino'
import type { Options } from '../options.ts'
import { Alone } from './alone.ts'
import { KeptSource } from './kept-source.ts'
import type { ClusterSource } from './view.ts'

/**
 * The source that the options ask for; what only one of them needs is loaded only then.
 * @param addresses where other nodes reach this one
 * @throws KubeconfigError
 */
export async function clusterSource(
  options: Options,
  _addresses: readonly string[],
  log: Logger,
): Promise<ClusterSource> {
  const { datastore, nodeName, podCidrs, clusterDir, kubeconfig, stateDir } = options
  const kept = (source: ClusterSource) => new KeptSource(source, join(stateDir, 'view.json'), nodeName, log)
  switch (datastore) {
    case 'local': {
      if (clusterDir === undefined) return new Alone(podCidrs)
      const [{ ManifestFolder }, { parseAll }] = await Promise.all([import('./local.ts'), import('./yaml.ts')])
      return new ManifestFolder(clusterDir, podCidrs, parseAll)
    }
    case 'kubernetes': {
      const [{ kubernetesSource }, { parseOne }] = await Promise.all([
        import('./kubernetes/source.ts'),
        import('./yaml.ts'),
      ])
      return kept(kubernetesSource({ nodeName, ...(kubeconfig && { kubeconfig }), parse: parseOne, log }))
    }
    default:
      throw new Error(`--datastore ${datastore} is not there yet`)
  }
}
