import type { ApiClient } from './client.ts'
import { ApiError } from './errors.ts'
import { explain } from './explain.ts'
import { withoutCondition } from './network-condition.ts'

/** What we write on Nodes begins with it. */
const OURS = 'bramble.dev/'

/** Of a Node something is ours: how people name it, and how it goes. */
export interface NodeMark {
  readonly text: string
  remove(): Promise<void>
}

/**
 * What our agent has left on a Node of Kubernetes: annotations, and the condition that says that its network is up. None where
 * the cluster has no such node any more.
 * @throws Error in words for people, when the API server cannot be asked
 */
export async function nodeMarks(client: ApiClient, nodeName: string): Promise<NodeMark[]> {
  const path = `/api/v1/nodes/${nodeName}`
  const signal = new AbortController().signal
  const node = await client.get(path, signal).catch((error: unknown) => {
    if (error instanceof ApiError && error.status === 404) return undefined
    throw new Error(`the API server ${client.server} ${explain(error, { verb: 'get', resource: 'nodes' })}`)
  })
  if (!node) return []
  const patched = async (patching: Promise<unknown>, resource: string) => {
    await patching.catch((error: unknown) => {
      throw new Error(`the API server ${client.server} ${explain(error, { verb: 'patch', resource })}`)
    })
  }
  const condition = withoutCondition(node)
  return [
    ...Object.keys(node.metadata.annotations ?? {})
      .filter((name) => name.startsWith(OURS))
      .map((name) => ({
        text: `annotation ${name} of node ${nodeName}`,
        remove: () =>
          patched(client.mergePatch(path, { metadata: { annotations: { [name]: null } } }, signal), 'nodes'),
      })),
    ...(condition
      ? [
          {
            text: `condition NetworkUnavailable=False of node ${nodeName}`,
            remove: () => patched(client.strategicMergePatch(`${path}/status`, condition, signal), 'nodes/status'),
          },
        ]
      : []),
  ]
}
