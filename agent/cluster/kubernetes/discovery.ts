import type { ApiClient } from './client.ts'
import { ApiError, ApiProtocolError } from './errors.ts'
import type { Resource } from './watch.ts'

/**
 * Whether the API server has a resource of a group. That it has none of its group's version is believed when the list of
 * groups says so, too: what stands before a server that is away may answer 404 to anything, and policies hang on this.
 * @throws as ApiClient
 */
export async function isServed(client: ApiClient, { path }: Resource, signal: AbortSignal): Promise<boolean> {
  const end = path.lastIndexOf('/')
  const [version, plural] = [path.slice(0, end), path.slice(end + 1)]
  try {
    const { resources } = listOf(version, 'APIResourceList', await client.read(version, signal))
    return resources?.some(({ name }) => name === plural) ?? false
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error
    const { groups } = listOf('/apis', 'APIGroupList', await client.read('/apis', signal))
    const isListed = groups?.some(({ versions }) =>
      versions?.some(({ groupVersion }) => `/apis/${groupVersion}` === version),
    )
    if (isListed) throw error
    return false
  }
}

/** meta/v1. */
interface DiscoveryList {
  readonly kind?: string
  readonly resources?: readonly { readonly name?: string }[]
  readonly groups?: readonly { readonly versions?: readonly { readonly groupVersion?: string }[] }[]
}

/** @throws ApiProtocolError */
function listOf(path: string, kind: string, value: unknown): DiscoveryList {
  const list = value as DiscoveryList | null
  if (list?.kind === kind) return list
  throw new ApiProtocolError(`GET ${path}`, `answered with what is no ${kind}`)
}
