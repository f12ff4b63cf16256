import { writeFileSync } from 'node:fs'
import t from 'tap'
import { ApiDouble } from '../agent/cluster/kubernetes/api-double.ts'
import { CertificateAuthority } from '../agent/cluster/kubernetes/certificates.ts'
import { kubeconfigText } from '../agent/cluster/kubernetes/kubeconfig-text.ts'
import type { Agent } from './agent.ts'
import { until } from './agent.ts'
import {
  addPodOn,
  inside,
  type LabNode,
  lanAddress,
  makeLans,
  N1,
  N2,
  N3,
  plugIn,
  podAddresses,
  reaches,
  spawnMember,
} from './cluster.ts'
import { enterScratchNode, run } from './scratch.ts'

/* A cluster from an API server on the router: the nodes' pod CIDRs, addresses and announcements are in their Nodes. */
await enterScratchNode()
await makeLans()
const NODES = [N1, N2, N3]
for (const node of NODES) await plugIn(node)
const TOKEN = 'let-me-in'
const PORT = 6443
const authority = await CertificateAuthority.make()
const tls = await authority.issue({ alternative: 'IP:192.168.1.254' })
const serve = () => ApiDouble.start({ host: '192.168.1.254', port: PORT, tls, tokens: new Set([TOKEN]) })
let api = await serve()
const ca = Buffer.from(authority.cert).toString('base64')
const cluster = { server: `https://192.168.1.254:${PORT}`, 'certificate-authority-data': ca }
writeFileSync('/run/kubeconfig', kubeconfigText(cluster, { token: TOKEN }))
const put = (node: LabNode, podCIDRs: readonly string[] | undefined, address = lanAddress(node)) =>
  api.objects.put('/api/v1/nodes', {
    metadata: { name: node.name },
    spec: podCIDRs ? { podCIDRs } : {},
    status: { addresses: [{ type: 'InternalIP', address }] },
  })
const cidrsOf = ({ number }: LabNode) => [`10.42.${number}.0/24`, `fd42:0:0:${number}::/64`]
const agents = new Map<string, Agent>()
const agentOf = ({ name }: LabNode) => agents.get(name) as Agent
const start = (node: LabNode, ...options: string[]) =>
  agents.set(node.name, spawnMember(node, '--datastore=kubernetes', '--kubeconfig=/run/kubeconfig', ...options))
const problems = async (node: LabNode) => (await agentOf(node).ask('status')).problems
const routes = async (node: LabNode) => (await inside(node.name, 'ip', 'route')).stdout

t.test('an agent waits until its Node has pod CIDRs', async (t) => {
  put(N1, undefined)
  put(N2, cidrsOf(N2))
  put(N3, cidrsOf(N3))
  for (const node of NODES) start(node)
  await until('it says so', () =>
    agentOf(N1).log.some(({ reason }) => String(reason).includes('has no spec.podCIDRs yet')),
  )
  put(N1, cidrsOf(N1))
  for (const node of NODES) await agentOf(node).ready()
  t.pass()
})

t.test('all pods reach each other, directly and through VXLAN', async (t) => {
  for (const node of NODES) {
    await until(`${node.name} knows the others`, async () => (await agentOf(node).ask('nodes')).length === 2)
    await addPodOn(node)
  }
  for (const from of NODES)
    for (const to of NODES)
      for (const address of podAddresses(to))
        if (from !== to)
          await until(`${from.name} reaches ${address}`, () => reaches(`pod-${from.name}`, address, 1450))
  t.match(await routes(N1), `10.42.2.0/24 via ${lanAddress(N2)} dev eth0`)
})

t.test('what an agent announces is in the annotation of its Node', async (t) => {
  const annotation = () => {
    const node = api.objects.get('/api/v1/nodes', 'n1') as { metadata: { annotations?: Record<string, string> } }
    return node.metadata.annotations?.['bramble.dev/node']
  }
  await until('it is there', () => annotation() !== undefined)
  t.match(annotation(), /"encapsulations":\[.*"vxlan"/)
})

t.test('the API server is away: pods talk as before, and an agent that starts goes on from what it knew', async (t) => {
  await until('what it knows is on tmpfs', async () =>
    (await inside('n1', 'ls', '/run/bramble-n1')).stdout.includes('view'),
  )
  await new Promise((resolve) => setTimeout(resolve, 1_200)) // and all of it, a second later
  const objects = NODES.map((node) => api.objects.get('/api/v1/nodes', node.name))
  await api.close()
  const tunnel = async () => (await inside('n1', 'ip', '-o', 'link', 'show', 'bramble.vxlan')).stdout
  const before = await tunnel()
  await agentOf(N1).stop('SIGKILL')
  start(N1, '--masquerade=false', '--routing=vxlan')
  await agentOf(N1).ready()
  t.match((await problems(N1))[0], /API server .*192\.168\.1\.254:6443/)
  t.equal((await agentOf(N1).ask('nodes')).length, 2)
  t.ok(await reaches('pod-n1', '10.42.3.1', 1450))

  t.match(await routes(N1), '10.42.2.0/24 via 10.42.2.0 dev bramble.vxlan', 'with the options that it has now')
  t.equal(await tunnel(), before, 'and with the same end of the tunnel')

  api = await serve()
  for (const object of objects) if (object) api.objects.put('/api/v1/nodes', object)
  for (const node of NODES) await until(`${node.name} is well`, async () => (await problems(node)).length === 0, 60_000)
})

t.test('a node that is deleted takes its routes with it; with other pod CIDRs its agent starts anew', async (t) => {
  api.objects.delete('/api/v1/nodes', 'n3')
  await until('its routes are gone', async () => !(await routes(N1)).includes('10.42.3.0/24'))
  put(N3, ['10.42.9.0/24', 'fd42:0:0:9::/64'])
  t.equal(await agentOf(N3).ended(), 1)
  t.match(agentOf(N3).stderr, /another pod CIDR/)
  start(N3)
  await agentOf(N3).ready()
  t.same((await agentOf(N3).ask('status')).podCidrs, ['10.42.9.0/24', 'fd42:0:0:9::/64'])
  await until('the others know', async () => (await routes(N1)).includes('10.42.9.0/24'))
})

t.test('a pod CIDR among the addresses of Services is refused, by the node itself and by the others', async (t) => {
  const node: LabNode = { name: 'n4', number: 4, lan: 'a' }
  await plugIn(node)
  const kind = { apiVersion: 'networking.k8s.io/v1', kind: 'ServiceCIDR' }
  api.objects.install('/apis/networking.k8s.io/v1/servicecidrs', kind)
  api.objects.put('/apis/networking.k8s.io/v1/servicecidrs', {
    metadata: { name: 'kubernetes' },
    spec: { cidrs: ['10.42.4.0/22', 'fd00:10:96::/112'] },
  })
  put(node, cidrsOf(node))
  start(node)
  const reason = 'overlaps 10.42.4.0/22, the addresses of Services; give the pods others'
  await until('it says so', () =>
    agentOf(node).log.some(({ err }) => JSON.stringify(err ?? '').includes(`10.42.4.0/24 of this node ${reason}`)),
  )
  await agentOf(N1).stop()
  start(N1)
  await agentOf(N1).ready()
  await until('n1 says so', async () => (await problems(N1)).includes(`the pod CIDR 10.42.4.0/24 of n4 ${reason}`))
  await until('no route leads there', async () => !(await routes(N1)).includes('10.42.4.0/24'))
  t.match(await routes(N1), `10.42.2.0/24 via ${lanAddress(N2)}`, 'the rest is as it was')
})

t.test('a pod CIDR that holds the API server is refused, also where that has a name', async (t) => {
  const node: LabNode = { name: 'n5', number: 5, lan: 'b' }
  await plugIn(node)
  await run('ip', 'address', 'add', '10.99.0.5/32', 'dev', 'lo')
  writeFileSync('/run/hosts', '127.0.0.1 localhost\n10.99.0.5 api.home\n')
  await run('mount', '--bind', '/run/hosts', '/etc/hosts') // in this test's own mount namespace
  const other = await ApiDouble.start({ host: '10.99.0.5', port: 8080 })
  t.teardown(() => other.close())
  other.objects.put('/api/v1/nodes', {
    metadata: { name: 'n5' },
    spec: { podCIDRs: ['10.99.0.0/24'] },
    status: { addresses: [{ type: 'InternalIP', address: lanAddress(node) }] },
  })
  writeFileSync(
    '/run/named',
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'here',
      contexts: [{ name: 'here', context: { cluster: 'pis', user: 'node' } }],
      clusters: [{ name: 'pis', cluster: { server: 'http://api.home:8080' } }],
      users: [{ name: 'node', user: {} }],
    }),
  )
  agents.set('n5', spawnMember(node, '--datastore=kubernetes', '--kubeconfig=/run/named'))
  const reason = 'the pod CIDR 10.99.0.0/24 of this node holds 10.99.0.5, the API server http://api.home:8080'
  await until('it says so', () => agentOf(node).log.some(({ err }) => JSON.stringify(err ?? '').includes(reason)))
  t.pass()
})

t.teardown(async () => {
  await Promise.all([...agents.values()].map((agent) => agent.stop('SIGKILL')))
  await api.close()
  authority.remove()
})
