import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { ApiAccess } from '../../agent/cluster/kubernetes/access.ts'
import { ApiClient } from '../../agent/cluster/kubernetes/client.ts'
import { nodeMarks } from '../../agent/cluster/kubernetes/leave.ts'
import { NodeEvents } from '../../agent/cluster/kubernetes/node-events.ts'
import { ApiDouble } from '../agent/cluster/kubernetes/api-double.ts'
import {
  CLUSTER_POLICIES,
  CNP_DEFINITION,
  CNP_GROUP,
  DEFINITIONS,
} from '../agent/cluster/kubernetes/cluster-policy-crd.ts'
import { kubeconfigText } from '../agent/cluster/kubernetes/kubeconfig-text.ts'
import { startRealServer } from '../agent/cluster/kubernetes/real-server.ts'
import { apply, objectsOf, tokenOfAgentOn } from '../deploy/apply.ts'
import { Agent, until } from './agent.ts'
import { call } from './plugin.ts'
import { enterScratchNode, makeNetns, run } from './scratch.ts'

/* The roles of deploy/bramble.yaml: what an agent asks of the API server, from its start to its end, is all that they permit. */
t.setTimeout(300_000)
await enterScratchNode()
const MANIFEST = readFileSync(join(import.meta.dirname, '../../deploy/bramble.yaml'), 'utf8')
const PERMITTED = permitted()
const NODE = 'pi-1'
const ADDRESS = '192.0.2.10'
const SERVICE_CIDRS = '/apis/networking.k8s.io/v1/servicecidrs'
await run('ip', 'link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'switch')
for (const link of ['uplink', 'switch']) await run('ip', 'link', 'set', link, 'up')
await run('ip', 'address', 'add', `${ADDRESS}/24`, 'dev', 'uplink')
await run('ip', 'route', 'add', 'default', 'via', '192.0.2.1')

t.test('with the double', async (t) => {
  const double = await ApiDouble.start()
  t.teardown(() => double.close())
  for (const [path, kind] of [
    [SERVICE_CIDRS, 'ServiceCIDR'],
    ['/api/v1/events', 'Event'],
    [CLUSTER_POLICIES, 'ClusterNetworkPolicy'],
  ] as const)
    double.objects.install(path, { apiVersion: path.split('/').slice(2, -1).join('/'), kind })
  double.objects.put(SERVICE_CIDRS, { metadata: { name: 'kubernetes' }, spec: { cidrs: ['10.96.0.0/16'] } })
  double.objects.put('/api/v1/nodes', nodeObject())
  const seen = () => sorted(double.requests.flatMap(({ verb, path }) => asked(verb, path)))
  await live(t, { server: double.url, skipsTlsVerify: false }, seen)
  t.strictSame(seen(), PERMITTED)
})

const { KUBEBUILDER_ASSETS: assets } = process.env
if (assets)
  t.test("with a real API server, by its audit log, and the account's own token", async (t) => {
    const [policy, log] = ['/run/audit.yaml', '/run/audit.log']
    writeFileSync(policy, 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{ level: Metadata }]\n')
    const server = await startRealServer(assets, `--audit-policy-file=${policy}`, `--audit-log-path=${log}`)
    t.teardown(() => server.close())
    await apply(server, MANIFEST)
    await server.ask('POST', DEFINITIONS, CNP_DEFINITION)
    await server.ask('POST', '/api/v1/nodes', nodeObject())
    await until('the CRD is served', async () => (await server.ask('GET', '/apis')).includes(CNP_GROUP))
    const entries = () =>
      readFileSync(log, 'utf8')
        .split('\n')
        .slice(0, -1) // the last one may be in the making
        .map((line) => JSON.parse(line))
        .filter(({ user }) => user.username === 'system:serviceaccount:kube-system:bramble')
    const seen = () => sorted(entries().flatMap(({ verb, requestURI }) => asked(verb, requestURI.replace(/\?.*/, ''))))
    await live(t, { ...server.access, token: { text: await tokenOfAgentOn(server, NODE) } }, seen)
    t.strictSame(seen(), PERMITTED)
    t.strictSame(
      entries().filter(({ responseStatus }) => responseStatus?.code === 403),
      [],
    )
  })

/** An agent from its start to its end, a pod that the cluster does not know yet, Events that it has to tell, and uninstalling. */
async function live(t: Test, access: ApiAccess, seen: () => readonly string[]): Promise<void> {
  const client = new ApiClient(access)
  t.teardown(() => client.close())
  writeFileSync('/run/kubeconfig', kubeconfig(access))
  mkdirSync('/run/cni', { recursive: true })
  const agent = await Agent.start({
    nodeName: NODE,
    podCidrs: [],
    args: [
      ...['--datastore=kubernetes', '--kubeconfig=/run/kubeconfig', '--policy-wait=1'],
      ...['--cni-bin-dir=/run/cni/bin', '--cni-conf-dir=/run/cni/net.d'],
    ],
  })
  t.teardown(() => agent.stop('SIGKILL'))
  await call('ADD', {
    containerId: 'unknown',
    netns: await makeNetns(`pod-${++pods}`),
    args: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web',
  })
  const { signal } = new AbortController()
  const others = PERMITTED.filter((one) => !one.endsWith('/events'))
  await until('it has asked for all', () => others.every((one) => seen().includes(one)))
  const event = { reason: 'NetworkDegraded', message: 'no way to pi-3', times: 1 } as const
  for (const _ of ['first', 'again']) await new NodeEvents(client, NODE, signal).tell(event)
  await call('DEL', { containerId: 'unknown' })
  await agent.stop()
  for (const mark of await nodeMarks(client, NODE)) await mark.remove()
}

let pods = 0

function nodeObject() {
  return {
    metadata: { name: NODE },
    spec: { podCIDR: '10.42.1.0/24', podCIDRs: ['10.42.1.0/24'] },
    status: {
      addresses: [{ type: 'InternalIP', address: ADDRESS }],
      conditions: [{ type: 'NetworkUnavailable', status: 'True', reason: 'NoRouteCreated' }],
    },
  }
}

function kubeconfig({ server, skipsTlsVerify, ca, token }: ApiAccess): string {
  const authority = ca && 'file' in ca ? { 'certificate-authority': ca.file } : {}
  const cluster = { server, 'insecure-skip-tls-verify': skipsTlsVerify, ...authority }
  return kubeconfigText(cluster, token && 'text' in token ? { token: token.text } : {})
}

/** `patch /nodes/status`; what is about no resource (discovery) everybody may. */
function asked(verb: string, path: string): string[] {
  const [, group = '', rest = ''] = /^\/(?:api|apis\/([^/]+))\/v[^/]+\/(.+)$/.exec(path) ?? []
  const [plural, , ...subresource] = rest.replace(/^namespaces\/[^/]+\/(?=.)/, '').split('/')
  return plural ? [`${verb} ${[`${group}/${plural}`, ...subresource].join('/')}`] : []
}

function permitted(): string[] {
  const rules = objectsOf(MANIFEST).flatMap(({ kind, rules }) => (/^(Cluster)?Role$/.test(kind) ? rules : []))
  return sorted(
    rules.flatMap(({ apiGroups: [group], resources, verbs }) =>
      resources.flatMap((one: string) => verbs.map((verb: string) => `${verb} ${group}/${one}`)),
    ),
  )
}

function sorted(some: readonly string[]): string[] {
  return [...new Set(some)].sort()
}
