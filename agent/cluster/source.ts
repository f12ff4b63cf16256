import { join } from 'node:path'
import type { Logger } from 'pino'
import { Alone } from './alone.ts'
import { KeptSource } from './kept-source.ts'
import { KeptView } from './kept-view.ts'
import { KeptWorkloads } from './kept-workloads.ts'
import type { ClusterSettings } from './settings.ts'
import type { ClusterSource } from './view.ts'

/**
 * The source that the settings ask for; what only one of them needs is loaded only then.
 * @param addresses where other nodes reach this one
 * @throws KubeconfigError; JoinError for settings that cannot be used
 */
export async function clusterSource(
  settings: ClusterSettings,
  addresses: readonly string[],
  log: Logger,
): Promise<ClusterSource> {
  const { datastore, nodeName, podCidrs, clusterDir, kubeconfig, redis, clusterCidrs, nodeMasks, stateDir } = settings
  const kept = (origin: string) => new KeptView(join(stateDir, 'view.json'), origin, log)
  switch (datastore) {
    case 'local': {
      if (clusterDir === undefined) return new Alone(podCidrs)
      const [{ ManifestFolder }, { parseAll }] = await Promise.all([import('./local/source.ts'), import('./yaml.ts')])
      return new ManifestFolder(clusterDir, podCidrs, parseAll)
    }
    case 'kubernetes': {
      const [{ kubernetesSource }, { parseOne }] = await Promise.all([
        import('./kubernetes/source.ts'),
        import('./yaml.ts'),
      ])
      const source = kubernetesSource({ nodeName, ...(kubeconfig && { kubeconfig }), parse: parseOne, log })
      const keptWorkloads = new KeptWorkloads(join(stateDir, 'workloads.json'), nodeName, log)
      return new KeptSource(source, kept(datastore), nodeName, keptWorkloads)
    }
    case 'redis': {
      const [{ RedisSource }, { parseEndpoint }] = await Promise.all([
        import('./redis/source.ts'),
        import('./redis/endpoint.ts'),
      ])
      const { url, tls } = redis as NonNullable<typeof redis>
      const { name, options: redisOptions } = parseEndpoint(url, tls)
      const keptView = kept(`${name}/${redisOptions.db}`)
      const former = keptView.read()?.nodes
      const source = new RedisSource({
        url,
        tls,
        nodeName,
        addresses: () => addresses,
        clusterCidrs,
        nodeMasks,
        formerCidrs: former?.get(nodeName)?.podCidrs ?? [],
        knownNodes: [...(former?.values() ?? [])].filter(({ name }) => name !== nodeName),
        log,
      })
      return new KeptSource(source, keptView, nodeName)
    }
  }
}
