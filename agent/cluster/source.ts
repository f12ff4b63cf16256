import type { ClusterSource } from './view.ts'

/** The source that the options ask for; what only one of them needs is loaded only then. undefined: this node is alone. */
export async function clusterSource({
  clusterDir,
}: {
  readonly clusterDir?: string
}): Promise<ClusterSource | undefined> {
  if (clusterDir === undefined) return undefined
  const [{ ManifestFolder }, { default: yaml }] = await Promise.all([import('./local.ts'), import('yaml')])
  return new ManifestFolder(clusterDir, (text) =>
    yaml.parseAllDocuments(text).map((document) => {
      const [error] = document.errors
      if (error) throw new Error(error.message.split('\n')[0])
      return document.toJS()
    }),
  )
}
