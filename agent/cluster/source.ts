import type { Cidr } from '../../ipam/address.ts'
import type { ClusterSource } from './view.ts'

/** The source that the options ask for; what only one of them needs is loaded only then. undefined: this node is alone. */
export async function clusterSource({
  clusterDir,
  podCidrs,
}: {
  readonly clusterDir?: string
  readonly podCidrs: readonly Cidr[]
}): Promise<ClusterSource | undefined> {
  if (clusterDir === undefined) return undefined
  const [{ ManifestFolder }, { default: yaml }] = await Promise.all([import('./local.ts'), import('yaml')])
  return new ManifestFolder(clusterDir, podCidrs, (text) =>
    yaml.parseAllDocuments(text).map((document) => {
      const [error] = document.errors
      if (error) throw new Error(error.message.split('\n')[0])
      return document.toJS()
    }),
  )
}
