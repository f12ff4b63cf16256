import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse, stringify } from 'yaml'
import { generated } from '../../deploy/generate.ts'
import { startRealServer } from '../agent/cluster/kubernetes/real-server.ts'
import { apply, type Manifest, objectsOf } from './apply.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const MANIFEST = read('deploy/bramble.yaml')
const UNINSTALL = read('deploy/uninstall.yaml')
const RESTRICTION = read('deploy/node-restriction.yaml')
const SOURCES = { bramble: MANIFEST, nodeRestriction: RESTRICTION }
const { version } = JSON.parse(read('package.json'))

const one = (kind: string, text = MANIFEST): Manifest => objectsOf(text).find((object) => object.kind === kind)
const podSpec = (text = MANIFEST): Manifest => one('DaemonSet', text).spec.template.spec
const agent = (): Manifest => podSpec().containers[0]

t.test('the manifest is one small file without a CRD or a second component', (t) => {
  t.ok(Buffer.byteLength(MANIFEST) <= 8192, `${Buffer.byteLength(MANIFEST)} bytes`)
  t.strictSame(
    objectsOf(MANIFEST).map(({ kind }) => kind),
    ['ServiceAccount', 'ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding', 'ConfigMap', 'DaemonSet'],
  )
  for (const { metadata } of objectsOf(MANIFEST)) {
    t.equal(metadata.name, 'bramble')
    t.strictSame(metadata.labels, { 'app.kubernetes.io/name': 'bramble' })
  }
  t.end()
})

t.test('the image is that of this version, everywhere', (t) => {
  const image = `ghcr.io/bramble-net/bramble:v${version}`
  for (const text of [MANIFEST, UNINSTALL, read('deploy/helm/values.yaml')])
    for (const [, named] of text.matchAll(/^\s*image: (\S+)/gm)) t.equal(named, image)
  t.end()
})

t.test('Kustomize and Helm have what the manifest has', (t) => {
  for (const [path, text] of Object.entries(generated(SOURCES, version)))
    t.equal(read(`deploy/${path}`), text, `${path} is not of these manifests: node deploy/generate.ts`)
  t.strictSame(parse(read('deploy/kustomize/kustomization.yaml')).resources, ['bramble.yaml'])
  t.strictSame(parse(read('deploy/kustomize/node-restriction/kustomization.yaml')).resources, ['node-restriction.yaml'])
  t.end()
})

t.test('the chart with its own values is the manifest, and every value has an effect', (t) => {
  const values = parse(read('deploy/helm/values.yaml'))
  t.equal(values.nodeRestriction, false, 'older clusters would refuse it')
  const own = objectsOf(chart(values, 'kube-system'))
  const { metadata } = own.find(({ kind }) => kind === 'DaemonSet').spec.template
  const { annotations } = metadata
  delete metadata.annotations // the manifest's configuration is rolled out by hand
  t.strictSame(own, objectsOf(MANIFEST))
  const other = {
    image: 'x/y:1',
    imagePullPolicy: 'Always',
    config: { mtu: 1400 },
    cniBinDir: '/b',
    cniConfDir: '/c',
    resources: {},
    nodeRestriction: true,
  }
  t.strictSame(Object.keys(other).sort(), Object.keys(values).sort())
  const changed = chart(other, 'network')
  t.strictSame(
    new Set(objectsOf(changed).map(({ metadata }) => metadata.namespace)),
    new Set(['network', 'default', undefined]),
  )
  for (const kind of ['ClusterRoleBinding', 'RoleBinding']) t.equal(one(kind, changed).subjects[0].namespace, 'network')
  const { spec } = one('ValidatingAdmissionPolicy', changed)
  t.match(spec.matchConditions[0].expression, '"system:serviceaccount:network:bramble"')
  t.equal(one('ConfigMap', changed).data['agent.yaml'], 'mtu: 1400\n')
  const checksum = one('DaemonSet', changed).spec.template.metadata.annotations['checksum/config']
  t.match(checksum, /^[0-9a-f]{64}$/)
  t.not(checksum, annotations['checksum/config'], 'the agents are rolled out')
  t.match(podSpec(changed).containers[0], { image: 'x/y:1', imagePullPolicy: 'Always', resources: {} })
  const paths = podSpec(changed).volumes.flatMap(({ hostPath }: Manifest) => hostPath?.path ?? [])
  t.ok(paths.includes('/b') && paths.includes('/c'))
  t.end()
})

t.test('the agent gets the rights that it needs, and may delete nothing', (t) => {
  const rules = ['ClusterRole', 'Role'].flatMap((kind) => one(kind).rules)
  const verbs = new Map<string, string[]>()
  for (const { apiGroups, resources, verbs: some } of rules)
    for (const resource of resources) {
      t.notOk(verbs.has(`${apiGroups[0]}/${resource}`), `${resource} is named once`)
      verbs.set(`${apiGroups[0]}/${resource}`, some)
    }
  t.strictSame(verbs.get('/nodes'), ['get', 'list', 'watch', 'patch'])
  t.strictSame(verbs.get('/nodes/status'), ['patch'])
  t.strictSame(verbs.get('/events'), ['create', 'patch'])
  for (const resource of ['/pods', '/namespaces']) t.strictSame(verbs.get(resource), ['get', 'list', 'watch'])
  for (const [resource, some] of verbs)
    if (!/^\/(nodes|events)/.test(resource))
      t.ok(
        some.every((verb) => ['get', 'list', 'watch'].includes(verb)),
        `${resource} is only read`,
      )
  t.end()
})

t.test('the pod runs on every node, before others, and is not privileged', (t) => {
  const { volumes, ...spec } = podSpec()
  t.match(spec, { hostNetwork: true, priorityClassName: 'system-node-critical', tolerations: [{ operator: 'Exists' }] })
  t.notOk(spec.hostPID || spec.hostIPC)
  const { securityContext, resources } = agent()
  t.notOk(securityContext.privileged)
  t.ok(securityContext.readOnlyRootFilesystem)
  t.strictSame(securityContext.capabilities, { drop: ['ALL'], add: ['NET_ADMIN', 'NET_RAW', 'SYS_ADMIN'] })
  t.notOk(resources.limits, 'a limit of memory would page the agent in from the card, one of CPU would hold pods up')
  t.strictSame(one('DaemonSet').spec.updateStrategy.rollingUpdate, { maxSurge: 1, maxUnavailable: 0 })
  t.equal(parse(one('ConfigMap').data['agent.yaml'])['take-over'], true, 'two at a time need it')
  t.end()
})

t.test("a user's options are in a ConfigMap that may be missing, and that no upgrade overwrites", (t) => {
  t.strictSame(agent().envFrom, [{ configMapRef: { name: 'bramble-options', optional: true } }])
  t.notOk(objectsOf(MANIFEST).some(({ metadata }) => metadata.name === 'bramble-options'))
  t.end()
})

t.test('uninstalling reaches all that the agent can write to, under the same selector and account', (t) => {
  const [before, after] = [one('DaemonSet'), one('DaemonSet', UNINSTALL)]
  t.strictSame(after.metadata, before.metadata)
  t.strictSame(after.spec.selector, before.spec.selector)
  t.strictSame(after.spec.template.metadata.labels, before.spec.template.metadata.labels)
  t.equal(after.spec.updateStrategy.rollingUpdate.maxSurge, 0, 'merged with what Helm made, both would not be zero')
  const [uninstall] = podSpec(UNINSTALL).initContainers
  t.strictSame(uninstall.securityContext, agent().securityContext)
  t.strictSame(uninstall.env, agent().env)
  // It makes no pod's network, and no setting; the token is mounted by name, so that it alone has it.
  const named = ({ name }: Manifest) => !['netns', 'sysctl', 'token'].includes(name)
  t.strictSame(uninstall.volumeMounts.filter(named), agent().volumeMounts.filter(named))
  t.strictSame(podSpec(UNINSTALL).volumes.filter(named), podSpec().volumes.filter(named))
  for (const key of ['serviceAccountName', 'hostNetwork', 'tolerations', 'nodeSelector', 'priorityClassName'])
    t.strictSame(podSpec(UNINSTALL)[key], podSpec()[key], key)
  t.end()
})

t.test('what stays when a node is clean has no rights at all, and no token', (t) => {
  t.equal(podSpec(UNINSTALL).automountServiceAccountToken, false)
  const [{ securityContext, volumeMounts }] = podSpec(UNINSTALL).containers
  t.notOk(volumeMounts)
  t.strictSame(securityContext.capabilities, { drop: ['ALL'] })
  t.match(securityContext, { readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, runAsUser: 65534 })
  t.end()
})

const { KUBEBUILDER_ASSETS: assets } = process.env
if (assets)
  t.test('a real API server takes all of it, and knows every field', async (t) => {
    const server = await startRealServer(assets)
    t.teardown(() => server.close())
    const values = parse(read('deploy/helm/values.yaml'))
    const all = { ...values, nodeRestriction: true, config: { mtu: 1400 }, cniBinDir: '/b' }
    for (const [name, text] of Object.entries({
      MANIFEST,
      RESTRICTION,
      UNINSTALL,
      chart: chart(values, 'kube-system'),
      'chart with other values': chart(all, 'kube-system'),
    }))
      await t.resolves(apply(server, text, { dryRun: true }), name)
    const wrong = MANIFEST.replace('maxSurge:', 'mostSurge:')
    await t.rejects(apply(server, wrong, { dryRun: true }), { message: /unknown field.*mostSurge/ })
  })

/** All of the chart. */
function chart(values: Manifest, namespace: string): string {
  const texts = ['bramble', 'node-restriction'].map((name) =>
    rendered(read(`deploy/helm/templates/${name}.yaml`), values, namespace),
  )
  return texts.filter((text) => text !== '').join('\n---\n')
}

/** Of Helm's templates the five forms that ours has. */
function rendered(template: string, values: Manifest, namespace: string): string {
  const value = (path: string) => {
    const found = path.split('.').reduce((of: Manifest, name) => of?.[name], values)
    if (found === undefined) throw new Error(`values.yaml has no ${path}`)
    return found
  }
  const [, condition, guarded] = /^\{\{- if \.Values\.(\S+) \}\}\n(.*)\{\{- end \}\}\n$/s.exec(template) ?? []
  if (condition !== undefined && !value(condition)) return ''
  // A dash takes the white space before it away.
  const text = (guarded ?? template)
    .replace(/\s*\{\{- toYaml \.Values\.(\S+) \| nindent (\d+) \}\}/g, (_, path: string, width: string) => {
      const lines = stringify(value(path)).trimEnd().split('\n')
      return `\n${lines.map((line) => ' '.repeat(Number(width)) + line).join('\n')}`
    })
    .replace(/\{\{ toYaml \.Values\.(\S+) \| sha256sum \}\}/g, (_, path: string) =>
      hash('sha256', stringify(value(path)).trimEnd()),
    )
    .replace(/\{\{ \.Values\.(\S+) \}\}/g, (_, path: string) => String(value(path)))
    .replace(/\{\{ \.Release\.Namespace \}\}/g, namespace)
  if (text.includes('{{')) throw new Error(`not rendered: ${/\{\{.*/.exec(text)?.[0]}`)
  return text
}
