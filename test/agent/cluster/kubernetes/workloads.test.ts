import t, { type Test } from 'tap'
import type { ApiAccess } from '../../../../agent/cluster/kubernetes/access.ts'
import { ApiClient } from '../../../../agent/cluster/kubernetes/client.ts'
import { KubernetesWorkloads } from '../../../../agent/cluster/kubernetes/workloads.ts'
import type { ViewProblem } from '../../../../agent/cluster/problem.ts'
import type { WorkloadChange, Workloads } from '../../../../agent/cluster/workloads.ts'
import { ApiDouble, type Fault, type SeenRequest } from './api-double.ts'
import { CertificateAuthority } from './certificates.ts'
import { CLUSTER_POLICIES, CNP_DEFINITION, DEFINITIONS } from './cluster-policy-crd.ts'
import { startRealServer } from './real-server.ts'
import { until } from './until.ts'

const PODS = '/api/v1/pods'
const NAMESPACES = '/api/v1/namespaces'
const POLICIES = '/apis/networking.k8s.io/v1/networkpolicies'
const CLUSTER_POLICY = { apiVersion: 'policy.networking.k8s.io/v1alpha2', kind: 'ClusterNetworkPolicy' }
const EAGER = { firstMs: 1, mostMs: 50 }
const LOOK_OFTEN = { quietMs: 20, troubledMs: 5 }

const ca = await CertificateAuthority.make()
const tls = await ca.issue({ alternative: 'IP:127.0.0.1' })
t.teardown(() => ca.remove())

/** A source, and all that it has told. */
class Listener {
  readonly changes: WorkloadChange[] = []
  readonly source: KubernetesWorkloads
  readonly #client: ApiClient

  constructor(access: ApiAccess) {
    this.#client = new ApiClient(access)
    this.source = new KubernetesWorkloads(this.#client, EAGER, LOOK_OFTEN)
  }

  start(): void {
    this.source.start((change) => this.changes.push(change))
  }

  async close(): Promise<void> {
    await this.source.close()
    this.#client.close()
  }

  get now(): Workloads | undefined {
    return this.changes.at(-1)?.workloads
  }

  get problems(): readonly ViewProblem[] {
    return this.changes.at(-1)?.problems ?? []
  }

  /** All keys of one kind that were told to have changed, in order. */
  changed(kind: 'pods' | 'namespaces' | 'policies'): string[] {
    return this.changes.flatMap(({ changed }) => [...(changed?.[kind] ?? [])])
  }
}

async function fixture(t: Test) {
  const double = await ApiDouble.start({ bookmarkEveryMs: 50, tls })
  const listener = new Listener({ server: double.url, skipsTlsVerify: false, ca: { text: ca.cert } })
  t.teardown(async () => {
    await listener.close()
    await double.close()
  })
  const { objects } = double
  const pod = (name: string, ip: string, labels: Record<string, string> = {}) =>
    objects.put(PODS, {
      metadata: { name, namespace: 'shop', labels, managedFields: [{ manager: 'kubelet' }] },
      spec: { nodeName: 'pi-1', containers: [{ name: 'a', ports: [{ name: 'http', containerPort: 80 }] }] },
      status: { phase: 'Running', podIPs: [{ ip }] },
    })
  const namespace = (name: string, labels: Record<string, string> = {}) =>
    objects.put(NAMESPACES, { metadata: { name, labels } })
  const policy = (name: string, spec: object = { podSelector: {} }) =>
    objects.put(POLICIES, { metadata: { name, namespace: 'shop' }, spec })
  const clusterPolicy = (name: string) =>
    objects.put(CLUSTER_POLICIES, {
      metadata: { name },
      spec: {
        tier: 'Admin',
        priority: 10,
        subject: { namespaces: {} },
        ingress: [{ action: 'Deny', from: [{ namespaces: {} }] }],
      },
    })
  const install = () => objects.install(CLUSTER_POLICIES, CLUSTER_POLICY)
  /** What the listener knows in the end is what a new one is told. */
  const isCaughtUp = async () => {
    const fresh = new Listener({ server: double.url, skipsTlsVerify: false, ca: { text: ca.cert } })
    fresh.start()
    await until('a new one has listed', () => fresh.now !== undefined)
    await fresh.close()
    const wanted = comparable(fresh.now)
    await until('it knows what the server has', () => comparable(listener.now) === wanted)
  }
  const listed = async () => {
    listener.start()
    await until('all is listed', () => listener.now !== undefined)
  }
  return { double, objects, listener, pod, namespace, policy, clusterPolicy, install, listed, isCaughtUp }
}

function comparable(workloads: Workloads | undefined): string {
  const sorted = (map: ReadonlyMap<string, unknown> = new Map()) => [...map].sort(([a], [b]) => (a < b ? -1 : 1))
  const all = [sorted(workloads?.pods), sorted(workloads?.namespaces), sorted(workloads?.policies)]
  return JSON.stringify(all, (_, value) => (typeof value === 'bigint' ? String(value) : value))
}

/** Those that match meet the fault until it is lifted; the others pass. @returns what lifts it */
function hold(double: ApiDouble, fault: Fault, matches: (request: SeenRequest) => boolean): () => void {
  double.fault = (request) => (matches(request) ? fault : undefined)
  return () => {
    double.fault = () => undefined
  }
}

const podOf = (listener: Listener, name: string) => listener.now?.pods.get(`shop/${name}`)
const signal = new AbortController().signal

t.test('pods, namespaces and policies are told together, once all have been listed', async (t) => {
  const { listener, pod, namespace, policy, listed } = await fixture(t)
  pod('web', '10.42.0.5', { app: 'web' })
  namespace('shop', { team: 'a' })
  policy('deny')
  await listed()
  t.equal(listener.changes.filter(({ workloads }) => workloads !== undefined).length, 1)
  t.notOk(listener.changes[0]?.changed, 'anything may have changed')
  t.match(podOf(listener, 'web'), {
    namespace: 'shop',
    name: 'web',
    nodeName: 'pi-1',
    labels: { app: 'web' },
    addresses: ['10.42.0.5'],
    ports: [{ name: 'http', protocol: 'TCP', number: 80 }],
  })
  t.same(listener.now?.namespaces.get('shop')?.labels, { team: 'a', 'kubernetes.io/metadata.name': 'shop' })
  t.match(listener.now?.policies.get('NetworkPolicy shop/deny'), { kind: 'NetworkPolicy', ingress: [] })
  t.same(listener.problems, [])
})

t.test('what came, went or changed is told by its key; the rest stays the same object', async (t) => {
  const { listener, objects, pod, namespace, policy, listed } = await fixture(t)
  pod('a', '10.42.0.1')
  pod('b', '10.42.0.2')
  namespace('shop')
  await listed()
  const before = listener.now
  pod('b', '10.42.0.22')
  await until('the new address', () => podOf(listener, 'b')?.addresses[0] === '10.42.0.22')
  t.equal(podOf(listener, 'a'), before?.pods.get('shop/a'))
  t.equal(listener.now?.namespaces, before?.namespaces)
  t.equal(listener.now?.policies, before?.policies)
  t.equal(before?.pods.get('shop/b')?.addresses[0], '10.42.0.2', 'what was told does not change')
  objects.delete(PODS, 'shop/a')
  await until('it is gone', () => podOf(listener, 'a') === undefined)
  t.same(listener.changed('pods'), ['shop/b', 'shop/a'])
  namespace('shop', { team: 'b' })
  await until('a label', () => listener.now?.namespaces.get('shop')?.labels.team === 'b')
  policy('deny')
  await until('a policy', () => listener.now?.policies.size === 1)
  objects.delete(POLICIES, 'shop/deny')
  await until('no policy', () => listener.now?.policies.size === 0)
  t.same(listener.changed('namespaces'), ['shop'])
  t.same(listener.changed('policies'), ['NetworkPolicy shop/deny', 'NetworkPolicy shop/deny'])
})

t.test('what policies do not look at is told to nobody', async (t) => {
  const { listener, objects, pod, listed } = await fixture(t)
  pod('a', '10.42.0.1')
  await listed()
  const { length } = listener.changes
  for (let count = 0; count < 5; count++)
    objects.mergePatch(PODS, 'shop/a', { status: { conditions: [{ type: 'Ready', lastProbeTime: count }] } })
  pod('b', '10.42.0.2')
  await until('what came after', () => podOf(listener, 'b') !== undefined)
  t.same(listener.changed('pods'), ['shop/b'])
  t.equal(listener.changes.length, length + 1)
})

t.test('what happens in one turn is told as one change, whatever kinds it is of', async (t) => {
  const { double, listener, pod, namespace, policy, listed } = await fixture(t)
  await listed()
  await until('all watch', () => double.watches.size === 3)
  const { length } = listener.changes
  const many = Array.from({ length: 20 }, (_, i) => `p${i}`)
  for (const name of many) pod(name, '10.42.0.1')
  namespace('shop')
  policy('deny')
  await until('all are there', () => listener.now?.pods.size === 20 && listener.now.policies.size === 1)
  t.same(
    listener.changed('pods'),
    many.map((name) => `shop/${name}`),
  )
  t.ok(listener.changes.length - length < 20, `22 objects in ${listener.changes.length - length}`)
})

t.test('pods of one kind share their labels and ports', async (t) => {
  const { listener, pod, listed } = await fixture(t)
  for (const name of ['a', 'b']) pod(name, '10.42.0.1', { app: 'web', tier: 'front' })
  await listed()
  t.equal(podOf(listener, 'a')?.labels, podOf(listener, 'b')?.labels)
  t.equal(podOf(listener, 'a')?.ports, podOf(listener, 'b')?.ports)
})

t.test('a pod that is made again under its name is another pod, also where that was not seen', async (t) => {
  const { double, objects, listener, pod, listed } = await fixture(t)
  pod('a', '10.42.0.1')
  await listed()
  const first = podOf(listener, 'a')?.uid
  objects.delete(PODS, 'shop/a')
  pod('a', '10.42.0.1')
  await until('another', () => podOf(listener, 'a') !== undefined && podOf(listener, 'a')?.uid !== first)
  const second = podOf(listener, 'a')?.uid
  double.fault = () => ({ kind: 'reset' })
  double.disconnect()
  await until('it is away', () => listener.problems.length > 0)
  objects.delete(PODS, 'shop/a')
  pod('a', '10.42.0.1')
  double.compact()
  double.fault = () => undefined
  await until('a third', () => podOf(listener, 'a')?.uid !== second)
  t.not(podOf(listener, 'a')?.uid, first)
})

t.test(
  'a server that is away is told once; then all is caught up, from history or, without any, from a list',
  async (t) => {
    const { double, objects, listener, pod, policy, listed, isCaughtUp } = await fixture(t)
    pod('a', '10.42.0.1')
    pod('b', '10.42.0.2')
    await listed()
    for (const hasHistory of [true, false]) {
      double.fault = () => ({ kind: 'reset' })
      double.disconnect()
      await until('all four kinds are away', () =>
        listener.problems.some(({ reason }) =>
          /^not reachable .* known of pods and policies stays in force$/.test(reason),
        ),
      )
      t.equal(listener.problems.length, 1)
      t.equal(listener.now?.pods.size, 2)
      objects.delete(PODS, 'shop/a')
      pod('a', hasHistory ? '10.42.0.11' : '10.42.0.12')
      policy(`p-${hasHistory}`)
      if (!hasHistory) double.compact()
      double.fault = () => undefined
      await isCaughtUp()
      await until('all is well', () => listener.problems.length === 0)
    }
    t.equal(listener.now?.policies.size, 2)
    double.disconnect()
    pod('c', '10.42.0.3')
    await isCaughtUp()
  },
)

t.test('ten thousand pods are listed in pages, beside a thousand policies', async (t) => {
  const { double, listener, pod, policy, listed } = await fixture(t)
  for (let i = 0; i < 1_000; i++) policy(`p${i}`)
  for (let i = 0; i < 10_000; i++) pod(`p${i}`, `10.42.${i >> 8}.${i & 255}`, { app: `app-${i % 100}` })
  await listed()
  t.equal(listener.now?.pods.size, 10_000)
  t.equal(listener.now?.policies.size, 1_000)
  const pages = double.requests.filter(
    ({ verb, path, query }) => verb === 'list' && path === PODS && query.limit === '500',
  )
  t.equal(pages.length, 20)
  t.same(podOf(listener, 'p9999')?.addresses, ['10.42.39.15'])
  t.equal(new Set(Array.from(listener.now?.pods.values() ?? [], ({ labels }) => labels)).size, 100)
})

t.test('while one kind may not be read, nothing is known, and the role that is missing is told', async (t) => {
  const { double, listener, pod } = await fixture(t)
  pod('a', '10.42.0.1')
  double.forbidden.add('list networkpolicies')
  listener.start()
  await until('it is told', () => listener.problems.length === 1)
  t.match(listener.problems[0], {
    object: `the API server ${double.url}`,
    reason: /verb "list" on "networkpolicies\.networking\.k8s\.io"/,
  })
  t.equal(listener.now, undefined)
  double.forbidden.clear()
  await until('all is listed', () => listener.now !== undefined)
  await until('all is well', () => listener.problems.length === 0)
})

t.test('until all has been listed, only what keeps it from being so is told', async (t) => {
  const { double, objects, listener } = await fixture(t)
  objects.put(PODS, { metadata: { name: 'odd', namespace: 'shop' }, spec: { hostNetwork: 'perhaps' } })
  double.forbidden.add('list networkpolicies')
  listener.start()
  await until('it is told', () => listener.problems.length > 0)
  t.match(listener.problems, [{ reason: /networkpolicies/ }])
  t.equal(listener.problems.length, 1)
  double.forbidden.clear()
  await until('all is listed', () => listener.now !== undefined)
  await until('only the pod is left', () => listener.problems.length === 1)
  t.match(listener.problems, [{ object: 'Pod shop/odd' }])
})

t.test('a right that is taken away later is told, and what is known stays', async (t) => {
  const { double, listener, pod, listed } = await fixture(t)
  pod('a', '10.42.0.1')
  await listed()
  for (const verb of ['list', 'watch']) double.forbidden.add(`${verb} pods`)
  double.disconnect()
  await until('it is told', () =>
    listener.problems.some(({ reason }) =>
      /on "pods".*what is known of pods and policies stays in force$/.test(reason),
    ),
  )
  t.ok(podOf(listener, 'a'))
})

t.test('what cannot be read is told by its name and field; what it said before stays', async (t) => {
  const { objects, listener, pod, policy, listed } = await fixture(t)
  pod('a', '10.42.0.1')
  pod('bad', 'nonsense')
  policy('half', { podSelector: {}, egress: [{ to: [{ ipBlock: { cidr: '10.0.0.0/99' } }] }] })
  await listed()
  t.match(listener.problems, [
    { object: 'Pod shop/bad', reason: /^status\.podIPs\[0\]\.ip: .*nonsense/ },
    { object: 'NetworkPolicy shop/half', reason: /^spec\.egress\[0\]\.to\[0\]\.ipBlock\.cidr: / },
  ])
  t.ok(listener.now?.policies.has('NetworkPolicy shop/half'))
  objects.mergePatch(PODS, 'shop/a', { status: { podIPs: [{ ip: '10.42.0.300' }] } })
  await until('it is told', () => listener.problems.length === 3)
  t.match(
    listener.problems.find(({ object }) => object === 'Pod shop/a')?.reason,
    /what it said before stays in force$/,
  )
  t.same(podOf(listener, 'a')?.addresses, ['10.42.0.1'])
  objects.mergePatch(POLICIES, 'shop/half', { spec: { podSelector: 'x' } })
  await until('it is told', () => listener.problems.some(({ reason }) => /podSelector.*stays in force$/.test(reason)))
  t.equal(listener.now?.policies.get('NetworkPolicy shop/half')?.egress?.length, 1)
  objects.delete(POLICIES, 'shop/half')
  pod('a', '10.42.0.1')
  pod('bad', '10.42.0.2')
  await until('all is well', () => listener.problems.length === 0)
})

t.test('without its CRD there is no ClusterNetworkPolicy, and nothing is wrong', async (t) => {
  const { double, listener, pod, listed } = await fixture(t)
  pod('a', '10.42.0.1')
  await listed()
  t.same(listener.problems, [])
  t.equal(double.requests.filter(({ path }) => path.startsWith(CLUSTER_POLICIES)).length, 0)
})

t.test('the CRD of ClusterNetworkPolicy comes, goes and comes again while we run', async (t) => {
  const { double, listener, pod, policy, clusterPolicy, install, listed } = await fixture(t)
  pod('a', '10.42.0.1')
  policy('deny')
  await listed()
  for (let round = 0; round < 2; round++) {
    install()
    clusterPolicy('baseline')
    await until('it is there', () => listener.now?.policies.has('ClusterNetworkPolicy baseline') ?? false)
    t.match(listener.now?.policies.get('ClusterNetworkPolicy baseline'), { tier: 'Admin', priority: 10 })
    clusterPolicy('second')
    await until('it is watched', () => listener.now?.policies.size === 3)
    double.uninstall(CLUSTER_POLICIES)
    await until('they are gone', () => listener.now?.policies.size === 1)
    await until('and nothing is wrong', () => listener.problems.length === 0)
  }
  t.ok(listener.now?.policies.has('NetworkPolicy shop/deny'))
})

t.test('a CRD that goes while nobody can hear of it takes its policies with it', async (t) => {
  const { double, listener, clusterPolicy, install, listed } = await fixture(t)
  install()
  clusterPolicy('baseline')
  await listed()
  t.equal(listener.now?.policies.size, 1, 'what is there from the start is waited for')
  double.fault = () => ({ kind: 'reset' })
  double.disconnect()
  await until('it is away', () => listener.problems.length > 0)
  t.equal(listener.now?.policies.size, 1)
  double.uninstall(CLUSTER_POLICIES)
  double.fault = () => undefined
  await until('they are gone', () => listener.now?.policies.size === 0)
  await until('and nothing is wrong', () => listener.problems.length === 0)
})

t.test('a 404 from something before the server takes no policy away', async (t) => {
  const { double, listener, clusterPolicy, install, listed } = await fixture(t)
  install()
  clusterPolicy('baseline')
  await listed()
  double.fault = () => ({ kind: 'answer', status: 404, body: 'not here' })
  double.disconnect()
  await until('it is told', () => listener.problems.length > 0)
  const { length } = double.requests
  await until('it has looked again', () => double.requests.slice(length).some(({ path }) => path === '/apis'))
  await until('and again', () => double.requests.slice(length).filter(({ path }) => path === '/apis').length > 2)
  t.equal(listener.now?.policies.size, 1)
  double.fault = () => undefined
  await until('all is well', () => listener.problems.length === 0)
  t.equal(listener.now?.policies.size, 1)
})

t.test('while it is not known whether the CRD is there, nothing is known', async (t) => {
  const { double, listener, pod } = await fixture(t)
  pod('a', '10.42.0.1')
  const lift = hold(double, { kind: 'answer', status: 503, body: '' }, ({ path }) => path.includes('v1alpha2'))
  listener.start()
  await until('it is told', () => listener.problems.length === 1)
  await until('the others are listed', () => double.watches.size === 3)
  t.match(listener.problems[0]?.reason, /^cannot get \/apis\/policy\.networking\.k8s\.io\/v1alpha2: 503/)
  t.equal(listener.now, undefined)
  lift()
  await until('all is listed', () => listener.now !== undefined)
  t.same(listener.problems, [])
})

t.test(
  'a pod that is asked for is known before the watch tells of it, and told to all; with its namespace',
  async (t) => {
    const { double, listener, pod, namespace, listed, isCaughtUp } = await fixture(t)
    await listed()
    await until('all watch', () => double.watches.size === 3)
    for (const watch of double.watches) watch.silence()
    namespace('shop', { team: 'a' })
    pod('new', '10.42.0.9', { app: 'web' })
    t.equal(podOf(listener, 'new'), undefined)
    const asked = await listener.source.ask('shop', 'new', signal)
    t.match(asked, { labels: { app: 'web' }, addresses: ['10.42.0.9'] })
    t.equal(podOf(listener, 'new'), asked, 'who listens has it when who asks has it')
    t.equal(listener.now?.namespaces.get('shop')?.labels.team, 'a')
    double.disconnect()
    await isCaughtUp()
    t.same(listener.changed('pods'), ['shop/new'], 'and once only')
  },
)

t.test('a pod that is not there is no pod; one that cannot be asked for is told with the reason', async (t) => {
  const { double, listener, pod, namespace, listed } = await fixture(t)
  namespace('shop')
  await listed()
  t.equal(await listener.source.ask('shop', 'none', signal), undefined)
  t.equal(await listener.source.ask('none', 'none', signal), undefined)
  const { length } = double.requests
  for (const [namespace, name] of [
    ['..', 'a'],
    ['shop', '../../nodes/pi-1'],
    ['shop', 'A b'],
    ['', ''],
  ] as const)
    t.equal(await listener.source.ask(namespace, name, signal), undefined)
  t.equal(double.requests.length, length, 'no such thing is asked for')

  pod('bad', 'nonsense')
  await t.rejects(listener.source.ask('shop', 'bad', signal), {
    code: 'ASK',
    message: /^Pod shop\/bad: status\.podIPs/,
  })
  double.forbidden.add('get pods')
  await t.rejects(listener.source.ask('shop', 'a', signal), { code: 'ASK', message: /verb "get" on "pods"/ })
  double.fault = ({ verb }) => (verb === 'get' ? { kind: 'answer', status: 404, body: 'no page' } : undefined)
  await t.rejects(listener.source.ask('shop', 'a', signal), { code: 'ASK' }, 'whose 404 is that?')
  double.fault = ({ verb }) => (verb === 'get' ? { kind: 'silence' } : undefined)
  const impatient = new AbortController()
  const asked = t.rejects(listener.source.ask('shop', 'a', impatient.signal), { message: 'enough' })
  impatient.abort(new Error('enough'))
  await asked
})

t.test('two hundred pods that are asked for at once share a few connections', async (t) => {
  const { double, listener, pod, namespace, listed } = await fixture(t)
  namespace('shop')
  await listed()
  await until('all watch', () => double.watches.size === 3)
  for (const watch of double.watches) watch.silence()
  const names = Array.from({ length: 200 }, (_, i) => `p${i}`)
  for (const name of names) pod(name, '10.42.0.9')
  const asked = await Promise.all(names.map((name) => listener.source.ask('shop', name, signal)))
  t.same(
    asked.map((one) => one?.name),
    names,
  )
  const gets = double.requests.filter(({ verb, path }) => verb === 'get' && path.includes('/pods/'))
  t.ok(new Set(gets.map(({ port }) => port)).size <= 16)
})

t.test('who asks before anything is listed has an answer, and the list comes as ever', async (t) => {
  const { double, listener, pod, namespace } = await fixture(t)
  namespace('shop')
  pod('a', '10.42.0.1')
  const lift = hold(double, { kind: 'answer', status: 503, body: '' }, ({ verb }) => verb === 'list')
  listener.start()
  await until('it tries', () => double.count('list') > 3)
  t.match(await listener.source.ask('shop', 'a', signal), { addresses: ['10.42.0.1'] })
  t.equal(listener.now, undefined)
  lift()
  await until('all is listed', () => podOf(listener, 'a') !== undefined)
})

t.test('close ends it wherever it is, who asks among them', async (t) => {
  const { double, listener, listed } = await fixture(t)
  await listed()
  double.fault = ({ verb }) => (verb === 'get' ? { kind: 'silence' } : undefined)
  const asked = t.rejects(listener.source.ask('shop', 'a', signal))
  const { length } = listener.changes
  await listener.source.close()
  await asked
  await listener.source.close()
  t.equal(listener.changes.length, length)
})

const { KUBEBUILDER_ASSETS: assets } = process.env
if (assets)
  t.test('with a real API server: pods, policies and the CRD come, change and go', async (t) => {
    const server = await startRealServer(assets)
    const listener = new Listener(server.access)
    t.teardown(async () => {
      await listener.close()
      await server.close()
    })
    const inShop = `${NAMESPACES}/shop/pods`
    const create = async (name: string, ip: string) => {
      const spec = {
        nodeName: 'pi-1',
        containers: [{ name: 'a', image: 'a', ports: [{ name: 'http', containerPort: 80 }] }],
      }
      await server.ask('POST', inShop, { metadata: { name, labels: { app: name } }, spec })
      await setStatus(name, { phase: 'Running', podIP: ip, podIPs: [{ ip }] })
    }
    const setStatus = (name: string, status: object) => server.ask('PATCH', `${inShop}/${name}/status`, { status })
    const remove = (name: string) => server.ask('DELETE', `${inShop}/${name}`, { gracePeriodSeconds: 0 })
    await server.ask('POST', NAMESPACES, { metadata: { name: 'shop', labels: { team: 'a' } } })
    await create('a', '10.42.0.1')
    listener.start()
    await until('all is listed', () => listener.now !== undefined)
    t.match(podOf(listener, 'a'), { labels: { app: 'a' }, addresses: ['10.42.0.1'], ports: [{ number: 80 }] })
    t.equal(listener.now?.namespaces.get('shop')?.labels.team, 'a')
    t.same(listener.problems, [])

    const { length } = listener.changes
    await setStatus('a', { conditions: [{ type: 'Ready', status: 'True' }] })
    await create('b', '10.42.0.2')
    await until('another', () => podOf(listener, 'b')?.addresses.length === 1)
    t.notOk(listener.changes.slice(length).some(({ changed }) => changed?.pods.has('shop/a')))

    const first = podOf(listener, 'a')?.uid
    server.setAway(true)
    await remove('a')
    await create('a', '10.42.0.1')
    await server.compact()
    server.setAway(false)
    await until(
      'a second one of that name',
      () => podOf(listener, 'a')?.uid !== first && podOf(listener, 'a') !== undefined,
    )

    const policies = '/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies'
    await server.ask('POST', policies, { metadata: { name: 'deny' }, spec: { podSelector: {} } })
    await until('a policy', () => listener.now?.policies.has('NetworkPolicy shop/deny') ?? false)

    for (const name of ['first', 'second']) {
      await server.ask('POST', DEFINITIONS, CNP_DEFINITION)
      const spec = { tier: 'Admin', priority: 10, subject: { namespaces: {} }, ingress: [] }
      const object = { ...CLUSTER_POLICY, metadata: { name }, spec }
      let isMade = false
      const make = () =>
        server.ask('POST', CLUSTER_POLICIES, object).then(
          () => (isMade = true),
          () => {},
        )
      for (let tries = 0; !isMade && tries < 200; tries++) {
        await make()
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      await until('its kind is watched', () => listener.now?.policies.has(`ClusterNetworkPolicy ${name}`) ?? false)
      await server.ask('DELETE', `${DEFINITIONS}/${CNP_DEFINITION.metadata.name}`)
      await until('they are gone', () => listener.now?.policies.size === 1)
      await until('and nothing is wrong', () => listener.problems.length === 0)
    }
    t.ok(listener.now?.policies.has('NetworkPolicy shop/deny'))

    t.match(await listener.source.ask('shop', 'b', signal), { addresses: ['10.42.0.2'] })
    t.equal(await listener.source.ask('shop', 'none', signal), undefined)
  })
