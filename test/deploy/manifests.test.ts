import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse, parseAllDocuments, stringify } from 'yaml'
import { generated } from '../../deploy/generate.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const MANIFEST = read('deploy/bramble.yaml')
const UNINSTALL = read('deploy/uninstall.yaml')
const { version } = JSON.parse(read('package.json'))

// biome-ignore lint/suspicious/noExplicitAny: a manifest may hold anything; what is missing fails the test
type Manifest = any

const objects = (text: string): Manifest[] => parseAllDocuments(text).map((document) => document.toJS())
const one = (kind: string, text = MANIFEST): Manifest => objects(text).find((object) => object.kind === kind)
const podSpec = (text = MANIFEST): Manifest => one('DaemonSet', text).spec.template.spec
const agent = (): Manifest => podSpec().containers[0]

t.test('the manifest is one small file without a CRD or a second component', (t) => {
  t.ok(Buffer.byteLength(MANIFEST) <= 8192, `${Buffer.byteLength(MANIFEST)} bytes`)
  t.strictSame(
    objects(MANIFEST).map(({ kind }) => kind),
    ['ServiceAccount', 'ClusterRole', 'ClusterRoleBinding', 'ConfigMap', 'DaemonSet'],
  )
  for (const { metadata } of objects(MANIFEST)) {
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
  for (const [path, text] of Object.entries(generated(MANIFEST, version)))
    t.equal(read(`deploy/${path}`), text, `${path} is not of this manifest: node deploy/generate.ts`)
  t.strictSame(parse(read('deploy/kustomize/kustomization.yaml')).resources, ['bramble.yaml'])
  t.end()
})

t.test('the chart with its own values is the manifest, and every value has an effect', (t) => {
  const values = parse(read('deploy/helm/values.yaml'))
  const template = read('deploy/helm/templates/bramble.yaml')
  const own = objects(rendered(template, values, 'kube-system'))
  const { metadata } = own.find(({ kind }) => kind === 'DaemonSet').spec.template
  const { annotations } = metadata
  delete metadata.annotations // the manifest's configuration is rolled out by hand
  t.strictSame(own, objects(MANIFEST))
  const other = {
    image: 'x/y:1',
    imagePullPolicy: 'Always',
    config: { mtu: 1400 },
    cniBinDir: '/b',
    cniConfDir: '/c',
    resources: {},
  }
  t.strictSame(Object.keys(other).sort(), Object.keys(values).sort())
  const changed = rendered(template, other, 'network')
  t.strictSame(new Set(objects(changed).map(({ metadata }) => metadata.namespace)), new Set(['network', undefined]))
  t.equal(one('ClusterRoleBinding', changed).subjects[0].namespace, 'network')
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
  const { rules } = one('ClusterRole')
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

t.test('uninstalling reaches all that the agent can write to, under the same selector and account', (t) => {
  const [before, after] = [one('DaemonSet'), one('DaemonSet', UNINSTALL)]
  t.strictSame(after.metadata, before.metadata)
  t.strictSame(after.spec.selector, before.spec.selector)
  t.strictSame(after.spec.template.metadata.labels, before.spec.template.metadata.labels)
  t.equal(after.spec.updateStrategy.rollingUpdate.maxSurge, 0, 'merged with what Helm made, both would not be zero')
  const [uninstall] = podSpec(UNINSTALL).initContainers
  t.strictSame(uninstall.securityContext, agent().securityContext)
  t.strictSame(uninstall.env, agent().env)
  // It makes no pod's network, and no setting.
  const unused = new Set(['netns', 'sysctl'])
  const mounts = agent().volumeMounts.filter(({ name }: Manifest) => !unused.has(name))
  t.strictSame(uninstall.volumeMounts, mounts)
  t.strictSame(
    podSpec(UNINSTALL).volumes,
    podSpec().volumes.filter(({ name }: Manifest) => !unused.has(name)),
  )
  for (const key of ['serviceAccountName', 'hostNetwork', 'tolerations', 'nodeSelector', 'priorityClassName'])
    t.strictSame(podSpec(UNINSTALL)[key], podSpec()[key], key)
  t.end()
})

/** Of Helm's templates the four forms that ours has. */
function rendered(template: string, values: Manifest, namespace: string): string {
  const value = (path: string) => {
    const found = path.split('.').reduce((of: Manifest, name) => of?.[name], values)
    if (found === undefined) throw new Error(`values.yaml has no ${path}`)
    return found
  }
  // A dash takes the white space before it away.
  const text = template
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
