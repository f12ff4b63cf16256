import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ManifestFolder } from '../../../../agent/cluster/local/source.ts'
import type { ViewChange } from '../../../../agent/cluster/view.ts'
import type { WorkloadChange, Workloads } from '../../../../agent/cluster/workloads.ts'
import { parseAll, parseOne } from '../../../../agent/cluster/yaml.ts'
import { until } from '../kubernetes/until.ts'

t.setTimeout(120_000)

const pod = (name: string, app = 'web', address = '10.42.0.5') => `
apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: shop, labels: { app: ${app} } }
status: { podIPs: [ { ip: ${address} } ] }
`
const namespace = (name: string, team: string) => `
apiVersion: v1
kind: Namespace
metadata: { name: ${name}, labels: { team: ${team} } }
`
const policy = (name: string, rest = '') => `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: ${name}, namespace: shop }
spec: { podSelector: {} ${rest} }
`
const clusterPolicy = (name: string) => `
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: { name: ${name} }
spec: { tier: Baseline, priority: 1, subject: { namespaces: {} }, ingress: [ { action: Deny, from: [ { namespaces: {} } ] } ] }
`
const node = (name: string) => `
apiVersion: v1
kind: Node
metadata: { name: ${name} }
`

/** A folder, its source, and all that was told of nodes and of the rest. */
class Folder {
  readonly path = join(mkdtempSync(join(tmpdir(), 'bramble-manifests-')), 'cluster')
  readonly views: ViewChange[] = []
  readonly changes: WorkloadChange[] = []
  readonly source = new ManifestFolder(this.path, [], parseAll)

  constructor(t: Test) {
    t.teardown(async () => {
      await this.source.close()
      rmSync(join(this.path, '..'), { recursive: true })
    })
  }

  make(): this {
    mkdirSync(this.path)
    return this
  }

  write(name: string, ...documents: readonly string[]): void {
    writeFileSync(join(this.path, name), documents.join('---'))
  }

  remove(name: string): void {
    rmSync(join(this.path, name))
  }

  start(): this {
    this.source.start((change) => this.views.push(change))
    this.source.workloads.start((change) => this.changes.push(change))
    return this
  }

  get now(): Workloads | undefined {
    return this.changes.at(-1)?.workloads
  }

  get problems() {
    return this.changes.at(-1)?.problems
  }

  appOf(name: string): string | undefined {
    return this.now?.pods.get(`shop/${name}`)?.labels.app
  }
}

t.test('pods, namespaces and policies are read beside the nodes, of however many files', async (t) => {
  const folder = new Folder(t).make()
  folder.write('a.yaml', node('pi-1'), pod('web'), namespace('shop', 'a'), policy('deny'))
  folder.write('b.yaml', clusterPolicy('baseline'), pod('db', 'db'))
  folder.write('c.json', JSON.stringify({ kind: 'List', items: [parseOne(pod('json', 'json'))] }))
  folder.write('d.yaml', 'apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web }\n')
  folder.start()
  t.equal(folder.changes.length, 1)
  t.notOk(folder.changes[0]?.changed, 'anything may have changed')
  t.same([...(folder.now?.pods.keys() ?? [])].sort(), ['shop/db', 'shop/json', 'shop/web'])
  t.match(folder.now?.pods.get('shop/web'), { uid: '', nodeName: '', labels: { app: 'web' }, addresses: ['10.42.0.5'] })
  t.same(folder.now?.namespaces.get('shop')?.labels, { team: 'a', 'kubernetes.io/metadata.name': 'shop' })
  t.same([...(folder.now?.policies.keys() ?? [])], ['NetworkPolicy shop/deny', 'ClusterNetworkPolicy baseline'])
  t.same([...(folder.views[0]?.view?.nodes.keys() ?? [])], ['pi-1'])
  t.same(folder.problems, [])
})

t.test('policies of kinds that are not read are told, since somebody counts on them', async (t) => {
  const folder = new Folder(t).make()
  const kinds = ['AdminNetworkPolicy', 'CiliumNetworkPolicy', 'NetworkPolicies', 'networkPolicy']
  for (const kind of kinds)
    folder.write(
      `${kind}.yaml`,
      `apiVersion: example.com/v1\nkind: ${kind}\nmetadata: { namespace: shop, name: deny }\n`,
    )
  folder.write('web.yaml', pod('web'))
  folder.start()
  t.same(
    folder.problems?.map(({ object, reason }) => `${object}: ${reason.split(';')[0]}`).sort(),
    kinds
      .map((kind) => `${kind}.yaml: ${kind} shop/deny: policies of this kind are not read: nothing of it holds`)
      .sort(),
  )
  t.equal(folder.now?.policies.size, 0)
  t.equal(folder.now?.pods.size, 1)
})

t.test('the manifests of the documentation are such as a folder takes', async (t) => {
  const folder = new Folder(t).make()
  const docs = readFileSync(new URL('../../../../docs/policy.md', import.meta.url), 'utf8')
  const blocks = Array.from(docs.matchAll(/^```yaml\n([^`]*)^```$/gm), ([, text = '']) => text)
  for (const [index, text] of blocks.entries()) folder.write(`${index}.yaml`, text)
  folder.start()
  t.same([folder.problems, folder.views.at(-1)?.problems], [[], []])
  t.same([...(folder.now?.policies.keys() ?? [])], ['NetworkPolicy shop/db'])
  t.match(folder.now?.pods.get('shop/db-0'), { labels: { app: 'db' }, nodeName: 'pi-1', ports: [{ name: 'sql' }] })
  t.equal(folder.now?.namespaces.get('shop')?.labels.team, 'red')
})

t.test('what came, went or changed is told by its key; the rest stays the same object', async (t) => {
  const folder = new Folder(t).make()
  folder.write('a.yaml', pod('a'), pod('b'), namespace('shop', 'a'))
  folder.write('p.yaml', policy('deny'))
  folder.start()
  const before = folder.now
  folder.write('a.yaml', pod('a'), pod('b', 'other'), namespace('shop', 'a'))
  await until('the label', () => folder.appOf('b') === 'other')
  t.strictSame(folder.changes.at(-1)?.changed, {
    pods: new Set(['shop/b']),
    namespaces: new Set(),
    policies: new Set(),
  })
  t.equal(folder.now?.pods.get('shop/a'), before?.pods.get('shop/a'))
  t.equal(folder.now?.namespaces, before?.namespaces)
  t.equal(folder.now?.policies, before?.policies)
  t.equal(before?.pods.get('shop/b')?.labels.app, 'web', 'what was told does not change')
  folder.remove('p.yaml')
  await until('it is gone', () => folder.now?.policies.size === 0)
  t.strictSame(folder.changes.at(-1)?.changed?.policies, new Set(['NetworkPolicy shop/deny']))
  t.equal(folder.views.length, 1, 'of nodes there was nothing to tell')
})

t.test('who listens to pods alone hears of them, and who comes later hears all', async (t) => {
  const folder = new Folder(t).make()
  folder.write('a.yaml', node('pi-1'), pod('a'))
  folder.source.workloads.start((change) => folder.changes.push(change))
  t.equal(folder.appOf('a'), 'web')
  folder.write('b.yaml', pod('b'), node('pi-2'))
  await until('another', () => folder.appOf('b') === 'web')
  folder.source.start((change) => folder.views.push(change))
  t.same(folder.views[0]?.changed, new Set(['pi-1', 'pi-2']))
  t.same([...(folder.views[0]?.view?.nodes.keys() ?? [])], ['pi-1', 'pi-2'])
})

t.test(
  'an object that cannot be used is told by its file, name and field; it stays as it was, and the rest is used',
  async (t) => {
    const folder = new Folder(t).make()
    folder.write('a.yaml', pod('a'), pod('b'), policy('deny'))
    folder.start()
    folder.write(
      'a.yaml',
      pod('a', '7'),
      pod('b', 'new'),
      policy('deny', ', ingress: [ { from: [ { ipBlock: { cidr: no } } ] } ]'),
    )
    await until('the one that is right', () => folder.appOf('b') === 'new')
    t.equal(folder.appOf('a'), 'web')
    t.match(folder.problems, [
      {
        object: 'a.yaml',
        reason:
          'Pod shop/a: metadata.labels["app"] is 7; text is expected: put it in quotes; what it said before stays in force',
      },
      { object: 'a.yaml', reason: /^NetworkPolicy shop\/deny: spec\.ingress\[0\]\.from\[0\]\.ipBlock\.cidr: / },
    ])
    t.same(folder.views.at(-1)?.problems, [], 'told once, and not with the nodes')
    folder.write('a.yaml', pod('a', '7'), pod('b', 'new'), policy('deny').replace('{}', '{ matchLabels: 3 }'))
    await until(
      'it is told',
      () => folder.problems?.some(({ reason }) => /podSelector.*stays in force/.test(reason)) ?? false,
    )
    t.equal(folder.now?.policies.get('NetworkPolicy shop/deny')?.ingress?.length, 1)
    folder.write('a.yaml', pod('a', 'right'), pod('b', 'new'), policy('deny'))
    await until('all is well', () => folder.problems?.length === 0)
    t.equal(folder.appOf('a'), 'right')
  },
)

t.test('a document that cannot be read is named by its line, and takes nothing from those beside it', async (t) => {
  const folder = new Folder(t).make()
  folder.write('a.yaml', pod('a'), policy('deny'), policy('other'))
  folder.start()
  folder.write(
    'a.yaml',
    pod('a', 'new'),
    policy('deny').replace('{}', '{ app: web'),
    policy('other', ', ingress: [{}]'),
  )
  await until('what can be read', () => folder.appOf('a') === 'new')
  t.equal(folder.now?.policies.get('NetworkPolicy shop/other')?.ingress?.length, 1)
  t.equal(folder.now?.policies.size, 2, 'the one that cannot be read stays as it was')
  const reason = /^the document of line 7: .* at line 11, column \d+; what it said before stays in force$/
  t.match(folder.views.at(-1)?.problems, [{ object: 'a.yaml', reason }])

  folder.write('a.yaml', pod('a'), '\nmetadata: { name: deny }\n', policy('other'))
  await until('the next one', () => folder.appOf('a') === 'web')
  t.match(folder.views.at(-1)?.problems, [{ object: 'a.yaml', reason: /^the document of line 7: there is no "kind"/ }])
  folder.write('a.yaml', pod('a'), policy('other'))
  await until('all is well', () => folder.views.at(-1)?.problems.length === 0)
  t.equal(folder.now?.policies.size, 1, 'now it is known that it is gone')
})

t.test('while a document has never been readable, policies wait for it, and nodes do not', async (t) => {
  const folder = new Folder(t).make()
  folder.write('a.yaml', node('pi-1'), '\nkind: "NetworkPolicy\n')
  folder.write('b.yaml', policy('deny'))
  folder.start()
  t.same([...(folder.views.at(-1)?.view?.nodes.keys() ?? [])], ['pi-1'])
  t.equal(folder.now, undefined)
  t.match(folder.problems, [{ object: 'a.yaml', reason: /no policy changes until it can be read/ }])
  folder.write('a.yaml', node('pi-1'), policy('other'))
  await until('all is known', () => folder.now?.policies.size === 2)
})

t.test('a file that cannot be read keeps all that it said', async (t) => {
  const folder = new Folder(t).make()
  folder.write('a.yaml', pod('a'), policy('deny'))
  folder.start()
  folder.write('a.yaml', '{ "apiVersion": "v1", "kind": "Pod", "meta')
  await until('it is told', () => folder.views.at(-1)?.problems.length === 1)
  t.match(folder.views.at(-1)?.problems, [{ object: 'a.yaml', reason: /stays in force$/ }])
  t.equal(folder.appOf('a'), 'web')
  t.equal(folder.now?.policies.size, 1)
  folder.write('a.yaml', pod('a', 'new'))
  await until('it can', () => folder.appOf('a') === 'new')
  t.equal(folder.now?.policies.size, 0)
})

t.test(
  'a copied file takes no labels away, whatever its name; objects of one name and two kinds are two',
  async (t) => {
    const folder = new Folder(t).make()
    folder.write('m.yaml', pod('a'), policy('a'))
    folder.start()
    t.same(folder.problems, [])
    folder.write('copy.yaml', pod('a', 'evil'), pod('b'), pod('b', 'second'))
    await until('it is told', () => folder.problems?.length === 2)
    t.same(folder.problems, [
      { object: 'copy.yaml', reason: 'has Pod shop/b twice; the first one counts' },
      { object: 'copy.yaml', reason: 'Pod shop/a is in m.yaml already, which counts; remove one of them' },
    ])
    t.equal(folder.appOf('a'), 'web')
    t.equal(folder.appOf('b'), 'web')
    folder.remove('m.yaml')
    await until('it counts now', () => folder.appOf('a') === 'evil')
  },
)

t.test('nothing is known before the folder is there', async (t) => {
  const folder = new Folder(t).start()
  t.same(folder.changes, [{ workloads: undefined, problems: [] }])
  t.match(folder.views, [{ view: undefined, problems: [{ reason: 'cannot be read: ENOENT; waiting for it' }] }])
})

t.test('an empty folder has no pods and no policies, and that is known', async (t) => {
  const folder = new Folder(t).make().start()
  t.equal(folder.now?.pods.size, 0)
  t.same(folder.problems, [])
})

t.test('it says all that it knows: a pod that it does not know is not waited for', async (t) => {
  const { source } = new Folder(t).make().start()
  t.equal(source.workloads.isComplete, true)
  t.equal(await source.workloads.ask(), undefined)
})
