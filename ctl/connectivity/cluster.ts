import { ApiClient } from '../../agent/cluster/kubernetes/client.ts'
import { ApiError, ApiProtocolError, UnreachableError } from '../../agent/cluster/kubernetes/errors.ts'
import { explain } from '../../agent/cluster/kubernetes/explain.ts'
import {
  type DaemonSetObject,
  internalAddresses,
  isReady,
  type NodeObject,
  type PodObject,
  serviceAddresses,
} from './cluster-objects.ts'
import { type Pace, runProbes, startServers } from './cluster-pods.ts'
import { policy, SERVICE_NAME, service } from './objects.ts'
import type { TestOptions } from './options.ts'
import { type Place, plan, policyPlan, type ServerPod } from './plan.ts'
import { type Report, type Row, withoutTheOffline } from './rows.ts'
import {
  isForgotten,
  isRefusal,
  newNamespaceName,
  otherTests,
  removeNamespace,
  TestNamespace,
} from './test-namespace.ts'
import { userAccess } from './user-access.ts'

export type ClusterSettings = Pace &
  Pick<TestOptions, 'kubeconfig' | 'context' | 'image' | 'nodes' | 'outside' | 'hasPolicy' | 'isCleaning'>

/** The test cannot be made in this cluster; the message says why and what to do. */
export class ClusterTestError extends Error {
  override readonly name = 'ClusterTestError'
  readonly code = 'CLUSTER_TEST' as const
}

/** Each with each: ten nodes have a hundred ways. */
const NODES_MAX = 10
const CLEAN_UP_MS = 180_000
const DAEMON_SET = '/apis/apps/v1/namespaces/kube-system/daemonsets/bramble'
const AGENT_PODS = '/api/v1/namespaces/kube-system/pods'
const DNS_SERVICE = '/api/v1/namespaces/kube-system/services/kube-dns'

/**
 * Pods in a namespace of their own, what they reach, and whether all of it went again.
 * @throws ClusterTestError, NoKubeconfigError, KubeconfigError; AbortError when the signal says so, and nothing is left then
 */
export async function testCluster(settings: ClusterSettings): Promise<Report> {
  const { path, access } = userAccess(settings.kubeconfig, settings.context)
  settings.say(`the API server is ${access.server}, by ${path}`)
  const api = new ApiClient(access)
  try {
    const rows = settings.isCleaning ? await clean(api, settings) : await testWith(api, settings)
    const hasFailed = rows.some(({ result }) => result === 'failed')
    return { rows, agentPods: hasFailed ? await agentPodsOf(api, settings.signal) : new Map() }
  } catch (error) {
    const isServers = [ApiError, UnreachableError, ApiProtocolError].some((one) => error instanceof one)
    if (!isServers) throw error
    const { request } = error as ApiError
    const verb = request.startsWith('POST') ? 'create' : 'get'
    const why = explain(error, { verb, resource: request.replace(/^\w+ /, '') })
    throw new ClusterTestError(`the API server ${access.server} ${why}`, { cause: error })
  } finally {
    api.close()
  }
}

async function testWith(api: ApiClient, settings: ClusterSettings): Promise<Row[]> {
  const { say, signal } = settings
  const image = settings.image ?? (await imageOf(api, signal))
  const { nodes, skipped } = await chosenNodes(api, settings)
  const name = newNamespaceName()
  let rows: Row[] = []
  let isMade = true
  try {
    const namespace = await TestNamespace.create(api, name, signal).catch((error) => {
      isMade = !isRefusal(error)
      throw error
    })
    say(`namespace ${name}, image ${image}, nodes ${nodes.map(({ metadata }) => metadata.name).join(', ')}`)
    await forgetOthers(api, namespace, settings)
    rows = [...skipped, ...(await tried(api, namespace, image, nodes, settings))]
  } finally {
    if (isMade) rows.push(await takenAway(api, name, say))
  }
  return withoutTheOffline(rows)
}

async function tried(
  api: ApiClient,
  namespace: TestNamespace,
  image: string,
  nodes: readonly NodeObject[],
  settings: ClusterSettings,
): Promise<Row[]> {
  const names = nodes.map(({ metadata }) => metadata.name)
  const servers = await startServers(
    namespace,
    names.map((node, index) => ({ name: `server-${index}`, namespace: namespace.name, node, image })),
    settings,
  )
  const { running } = servers
  if (running.length === 0) return [...servers.rows]
  const addresses = serviceAddresses(await namespace.createService(service(namespace.name)))
  const dns = await look(api, DNS_SERVICE, settings.signal)
  const hasNames = dns === 'there'
  const planned = plan({
    servers: running,
    places: running.flatMap(({ node }, index) => [
      { name: `client-${index}`, node, isNode: false },
      { name: `node-${index}`, node, isNode: true },
    ]),
    nodes: nodes.map((node) => ({ name: node.metadata.name, addresses: internalAddresses(node) })),
    service: { name: `${SERVICE_NAME}.${namespace.name}.svc`, addresses },
    hasNames,
    outside: settings.outside,
  })
  const open = await runProbes(namespace, image, planned, () => 'client', settings)
  const noNames: Row = {
    ...{ check: 'pod asks DNS', from: 'pods', node: running[0]?.node ?? '', to: 'DNS', result: 'skipped' },
    words: `${dns === 'forbidden' ? 'our user may not read the' : 'there is no'} Service kube-dns in kube-system`,
  }
  const held = settings.hasPolicy ? await underPolicy(namespace, image, running, settings) : []
  return [...servers.rows, ...open, ...(hasNames ? [] : [noNames]), ...held]
}

/** From the first node and the last, to all: both sides of a way between nodes are among them. */
async function underPolicy(
  namespace: TestNamespace,
  image: string,
  servers: readonly ServerPod[],
  settings: ClusterSettings,
): Promise<Row[]> {
  settings.say('the same with a policy that lets some pods in')
  await namespace.createPolicy(policy(namespace.name))
  const ends = [...new Set([servers[0]?.node, servers.at(-1)?.node])].filter((node) => node !== undefined)
  const places = (role: string): Place[] =>
    ends.map((node, index) => ({ name: `${role}-${index}`, node, isNode: false }))
  const planned = policyPlan(servers, places('friend'), places('stranger'))
  return runProbes(namespace, image, planned, ({ name }) => name.replace(/-\d+$/, ''), settings)
}

/** What the agents run is on every node already. @throws ClusterTestError */
async function imageOf(api: ApiClient, signal: AbortSignal): Promise<string> {
  const missing = new ClusterTestError(
    'there is no DaemonSet kube-system/bramble to take the image from; is Bramble installed? else name one: --image REFERENCE',
  )
  const found = await look(api, DAEMON_SET, signal)
  if (found === 'forbidden')
    throw new ClusterTestError(
      'our user may not read the DaemonSet kube-system/bramble (403), to take the image from it; name one: --image REFERENCE',
    )
  if (found === 'absent') throw missing
  const { spec } = (await api.get(DAEMON_SET, signal)) as DaemonSetObject
  const image = spec?.template?.spec?.containers?.[0]?.image
  if (image === undefined) throw missing
  return image
}

/** @throws ClusterTestError */
async function chosenNodes(api: ApiClient, { nodes: wanted, signal, say }: ClusterSettings) {
  const all: NodeObject[] = []
  await api.list('/api/v1/nodes', signal, (node) => all.push(node))
  const unknown = wanted.find((name) => !all.some(({ metadata }) => metadata.name === name))
  if (unknown !== undefined) throw new ClusterTestError(`there is no node ${unknown}; see: kubectl get nodes`)
  const asked = all.filter(({ metadata }) => wanted.length === 0 || wanted.includes(metadata.name))
  const ready = asked.filter(isReady)
  if (ready.length === 0)
    throw new ClusterTestError('no node is Ready; see: kubectl describe nodes, and on one: sudo bramblectl doctor')
  const nodes = wanted.length > 0 ? ready : ready.slice(0, NODES_MAX)
  if (nodes.length < ready.length)
    say(`of ${ready.length} nodes the first ${NODES_MAX} are tried; choose others: --node NAME`)
  if (nodes.length === 1) say('there is one node: what goes between nodes is not tried')
  const skipped = asked
    .filter((node) => !isReady(node))
    .map(({ metadata: { name } }): Row => {
      const row = { check: 'pods of the test start', from: `node ${name}`, node: name, to: `pod on ${name}` } as const
      return { ...row, result: 'skipped', words: `node ${name} is not Ready; see: kubectl describe node ${name}` }
    })
  return { nodes, skipped }
}

async function forgetOthers(api: ApiClient, own: TestNamespace, { say, signal }: Pace): Promise<void> {
  for (const other of await otherTests(api, own.name, signal)) {
    const { name } = other.metadata
    if (isForgotten(other, own.createdAt)) {
      say(`namespace ${name} was left by a test that was killed: it is removed`)
      await api.delete(`/api/v1/namespaces/${name}`, signal)
    } else say(`namespace ${name} is there: of a test that runs now, or was killed; --clean removes it`)
  }
}

async function clean(api: ApiClient, { say, signal }: Pace): Promise<Row[]> {
  const others = await otherTests(api, '', signal)
  if (others.length === 0) say('no test has left anything')
  const rows: Row[] = []
  for (const { metadata } of others) rows.push(await takenAway(api, metadata.name, say))
  return rows
}

/** Whatever became of the test: also when it was interrupted. */
async function takenAway(api: ApiClient, name: string, say: Pace['say']): Promise<Row> {
  const row = { check: 'nothing is left behind', from: 'cluster', node: '', to: `namespace ${name}` } as const
  say(`namespace ${name} is taken away`)
  try {
    await removeNamespace(api, name, CLEAN_UP_MS)
    return { ...row, result: 'good', words: '' }
  } catch (error) {
    const words = `namespace ${name}: ${(error as Error).message}`
    say(`${words}; see: kubectl describe namespace ${name}`)
    return { ...row, result: 'failed', words }
  }
}

/** By node; none where they may not be read. */
async function agentPodsOf(api: ApiClient, signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
  const pods = new Map<string, string>()
  try {
    await api.list(AGENT_PODS, signal, (pod: PodObject) => {
      const { name, labels } = pod.metadata
      const node = pod.spec?.nodeName
      if (node !== undefined && labels?.['app.kubernetes.io/name'] === 'bramble') pods.set(node, name)
    })
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
  }
  return pods
}

async function look(api: ApiClient, path: string, signal: AbortSignal): Promise<'there' | 'absent' | 'forbidden'> {
  try {
    await api.get(path, signal)
    return 'there'
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return 'absent'
    if (error instanceof ApiError && error.status === 403) return 'forbidden'
    throw error
  }
}
