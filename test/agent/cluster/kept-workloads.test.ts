import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { Alone } from '../../../agent/cluster/alone.ts'
import { parseClusterNetworkPolicyObject } from '../../../agent/cluster/cluster-network-policy-object.ts'
import { KeptSource } from '../../../agent/cluster/kept-source.ts'
import { KeptView } from '../../../agent/cluster/kept-view.ts'
import { KeptWorkloadSource } from '../../../agent/cluster/kept-workload-source.ts'
import { KeptWorkloads } from '../../../agent/cluster/kept-workloads.ts'
import { parseNetworkPolicyObject } from '../../../agent/cluster/network-policy-object.ts'
import { policyId } from '../../../agent/cluster/policy.ts'
import {
  type ClusterPod,
  NO_WORKLOADS,
  type WorkloadChange,
  type WorkloadSource,
  type Workloads,
} from '../../../agent/cluster/workloads.ts'
import { until } from './kubernetes/until.ts'

const log = pino({ level: 'silent' })

const pod = (name: string, rest: Partial<ClusterPod> = {}): ClusterPod => ({
  namespace: 'shop',
  name,
  uid: `uid-${name}`,
  nodeName: 'pi-2',
  labels: { app: name },
  addresses: ['10.42.2.7', 'fd42::7'],
  isHostNetwork: false,
  ports: [{ name: 'http', protocol: 'TCP', number: 80 }],
  ...rest,
})
const byName = (...pods: readonly ClusterPod[]) => new Map(pods.map((one) => [`shop/${one.name}`, one]))
const POLICIES = [
  parseNetworkPolicyObject({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'web', namespace: 'shop' },
    spec: {
      podSelector: { matchLabels: { app: 'web' } },
      ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }], ports: [{ port: 'http' }] }],
      egress: [{ to: [{ ipBlock: { cidr: 'fd42::/16' } }, { podSelector: {} }] }],
    },
  }),
  parseClusterNetworkPolicyObject({
    apiVersion: 'policy.networking.k8s.io/v1alpha2',
    kind: 'ClusterNetworkPolicy',
    metadata: { name: 'all' },
    spec: {
      tier: 'Admin',
      priority: 3,
      subject: { namespaces: {} },
      ingress: [{ name: 'nobody', action: 'Deny', from: [{ namespaces: {} }] }],
    },
  }),
].map(({ policy }) => policy)
const WORKLOADS: Workloads = {
  pods: byName(pod('a'), pod('b', { addresses: ['10.42.2.8'] })),
  namespaces: new Map([['shop', { name: 'shop', labels: { 'kubernetes.io/metadata.name': 'shop', team: 'a' } }]]),
  policies: new Map(POLICIES.map((policy) => [policyId(policy), policy])),
}

/** A source that says what the test tells it to. */
class Told implements WorkloadSource {
  readonly isComplete = false
  readonly asked: string[] = []
  onChange: (change: WorkloadChange) => void = () => {}
  isClosed = false
  start(onChange: (change: WorkloadChange) => void): void {
    this.onChange = onChange
  }
  async ask(namespace: string, name: string): Promise<ClusterPod> {
    this.asked.push(`${namespace}/${name}`)
    return pod(name)
  }
  async close(): Promise<void> {
    this.isClosed = true
  }
}

function keptAt(t: Test, path: string, times = { patienceMs: 60_000, writeEveryMs: 60_000 }) {
  const told = new Told()
  const source = new KeptWorkloadSource(told, new KeptWorkloads(path, 'pi-1', log), times)
  const heard: WorkloadChange[] = []
  source.start((change) => heard.push(change))
  t.teardown(() => source.close())
  return { told, source, heard }
}

const read = (path: string) => new KeptWorkloads(path, 'pi-1', log).read()
const AWAY = [{ object: 'the API server https://10.0.0.1', reason: 'not reachable' }]

t.test('what is kept is read again as the same values, and by nobody else', async (t) => {
  const path = join(t.testdir(), 'workloads.json')
  new KeptWorkloads(path, 'pi-1', log).write(WORKLOADS)
  t.strictSame(read(path), WORKLOADS)
  t.equal(statSync(path).mode & 0o777, 0o600)
  await new KeptWorkloads(path, 'pi-1', log).writeInTurns(NO_WORKLOADS)
  t.strictSame(read(path), NO_WORKLOADS)
})

t.test('however many there are, all are kept', async (t) => {
  const path = join(t.testdir(), 'workloads.json')
  const kept = new KeptWorkloads(path, 'pi-1', log)
  for (const count of [1, 99, 100, 101, 250]) {
    const pods = byName(...Array.from({ length: count }, (_, i) => pod(`p${i}`)))
    kept.write({ ...WORKLOADS, pods })
    t.strictSame(read(path)?.pods, pods)
    await kept.writeInTurns({ ...WORKLOADS, pods })
    t.strictSame(read(path)?.pods, pods)
  }
})

t.test(
  'kept is what policies need: of pods elsewhere those with an address of their own, and none without a policy',
  async (t) => {
    const path = join(t.testdir(), 'workloads.json')
    const pods = byName(
      pod('away'),
      pod('starting', { addresses: [] }),
      pod('host', { isHostNetwork: true }),
      pod('here', { nodeName: 'pi-1', addresses: [] }),
    )
    const kept = new KeptWorkloads(path, 'pi-1', log)
    kept.write({ ...WORKLOADS, pods })
    t.same([...(read(path)?.pods.keys() ?? [])], ['shop/away', 'shop/here'])
    kept.write({ ...WORKLOADS, pods, policies: new Map() })
    t.same([...(read(path)?.pods.keys() ?? [])], ['shop/here'])
  },
)

t.test('a source that answers counts, and what was kept is told to nobody', async (t) => {
  const path = join(t.testdir(), 'workloads.json')
  new KeptWorkloads(path, 'pi-1', log).write(WORKLOADS)
  const { told, source, heard } = keptAt(t, path)
  told.onChange({ workloads: undefined, problems: [] })
  t.same(heard, [{ workloads: undefined, problems: [] }])
  const first = { pods: new Set(['shop/a']), namespaces: new Set<string>(), policies: new Set<string>() }
  told.onChange({ workloads: NO_WORKLOADS, changed: first, problems: [] })
  t.strictSame(heard.at(-1), { workloads: NO_WORKLOADS, problems: [] })
  const change = { workloads: WORKLOADS, changed: first, problems: AWAY }
  told.onChange(change)
  t.equal(heard.at(-1), change)
  await source.close()
})

t.test(
  'while the source is away, what it said last counts; when it is there again all may differ from that',
  async (t) => {
    const path = join(t.testdir(), 'workloads.json')
    new KeptWorkloads(path, 'pi-1', log).write(WORKLOADS)
    const { told, source, heard } = keptAt(t, path)
    told.onChange({ workloads: undefined, problems: AWAY })
    t.strictSame(heard, [{ workloads: WORKLOADS, problems: AWAY }])
    told.onChange({ workloads: undefined, problems: [] })
    t.equal(heard.at(-1)?.workloads, heard[0]?.workloads, 'there, but it has not listed yet')
    const changed = { pods: new Set<string>(), namespaces: new Set<string>(), policies: new Set<string>() }
    told.onChange({ workloads: NO_WORKLOADS, changed, problems: [] })
    t.strictSame(heard.at(-1), { workloads: NO_WORKLOADS, problems: [] })
    t.notOk(heard.at(-1)?.changed)
    await source.close()
  },
)

t.test('a source that says nothing at all is waited for, and not for ever', async (t) => {
  const path = join(t.testdir(), 'workloads.json')
  new KeptWorkloads(path, 'pi-1', log).write(WORKLOADS)
  const { heard } = keptAt(t, path, { patienceMs: 20, writeEveryMs: 60_000 })
  t.same(heard, [])
  await until('the patience is over', () => heard.length > 0)
  t.strictSame(heard, [{ workloads: WORKLOADS, problems: [] }])
})

t.test('without anything kept nothing is known until the source says it', async (t) => {
  const { told, heard } = keptAt(t, join(t.testdir(), 'workloads.json'))
  told.onChange({ workloads: undefined, problems: AWAY })
  t.strictSame(heard, [{ workloads: undefined, problems: AWAY }])
})

t.test('a file that is cut, empty, of another format or nonsense is as if there were none', async (t) => {
  const path = join(t.testdir(), 'workloads.json')
  new KeptWorkloads(path, 'pi-1', log).write(WORKLOADS)
  const whole = readFileSync(path, 'utf8')
  const others = ['', whole.slice(0, 300), whole.replace('workloads/1', 'workloads/9'), '{}', '[1]', 'null']
  const nonsense = [whole.replace('10.42.2.7', '10.42.2.700'), whole.replace(/"first":"\d+"/, '"first":"x"')]
  for (const text of [...others, ...nonsense]) {
    t.not(text, whole)
    writeFileSync(path, text)
    t.equal(read(path), undefined, text.slice(0, 20))
  }
})

t.test(
  'the first word is written at once, the next ones together and not too often, the last one on close',
  async (t) => {
    const path = join(t.testdir(), 'workloads.json')
    const { told, source } = keptAt(t, path, { patienceMs: 60_000, writeEveryMs: 300 })
    const say = (...names: readonly string[]) =>
      told.onChange({ workloads: { ...WORKLOADS, pods: byName(...names.map((name) => pod(name))) }, problems: [] })
    const kept = () => [...(read(path)?.pods.keys() ?? [])].join()
    say('a')
    await until('the first', () => kept() === 'shop/a')
    const { ino } = statSync(path)
    say('b')
    say('c')
    t.equal(kept(), 'shop/a')
    await until('the third', () => kept() === 'shop/c')
    t.not(statSync(path).ino, ino)
    say('d')
    await source.close()
    t.equal(kept(), 'shop/d')
    t.equal(told.isClosed, true)
  },
)

t.test('where nothing can be written the source counts all the same', async (t) => {
  const path = join(t.testdir(), 'no', 'such', 'folder', 'workloads.json')
  const { told, source, heard } = keptAt(t, path)
  told.onChange({ workloads: WORKLOADS, problems: [] })
  t.equal(heard.at(-1)?.workloads, WORKLOADS)
  await source.close()
  t.notOk(existsSync(path))
})

t.test('who asks for a pod asks the source', async (t) => {
  const { told, source } = keptAt(t, join(t.testdir(), 'workloads.json'))
  t.match(await source.ask('shop', 'x', new AbortController().signal), { name: 'x' })
  t.same(told.asked, ['shop/x'])
  t.equal(source.isComplete, false)
})

t.test('a kept source keeps the workloads of a source that has them', async (t) => {
  const dir = t.testdir()
  const path = join(dir, 'workloads.json')
  const told = new Told()
  const withWorkloads = Object.assign(new Alone([]), { workloads: told })
  const view = new KeptView(join(dir, 'view.json'), 'here', log)
  const source = new KeptSource(withWorkloads, view, 'pi-1', new KeptWorkloads(path, 'pi-1', log))
  source.workloads?.start(() => {})
  told.onChange({ workloads: WORKLOADS, problems: [] })
  await source.close()
  t.strictSame(read(path), WORKLOADS)
  t.equal(told.isClosed, true)
  t.equal(new KeptSource(new Alone([]), view, 'pi-1', new KeptWorkloads(path, 'pi-1', log)).workloads, undefined)
})
