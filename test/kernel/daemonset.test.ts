import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseAllDocuments } from 'yaml'
import { LINK_GROUP } from '../../agent/ownership.ts'
import { ApiDouble } from '../agent/cluster/kubernetes/api-double.ts'
import { CertificateAuthority } from '../agent/cluster/kubernetes/certificates.ts'
import { until } from './agent.ts'
import { brambleImage } from './containerd/bramble-image.ts'
import { startContainerd } from './containerd/daemon.ts'
import { type DaemonPod, startDaemonPod } from './containerd/daemon-pod.ts'
import { type Pod, ping, startPod } from './containerd/pod.ts'
import { traces } from './containerd/traces.ts'
import { capture, enterScratchNode, run } from './scratch.ts'

/**
 * The DaemonSet of deploy/bramble.yaml as it is written, on a fresh node: a real containerd with runc gives the container
 * its capabilities, mounts and read-only root, and the agent in it makes the node's network from nothing.
 */
const DEPLOY = join(import.meta.dirname, '../../deploy')
const MANIFEST = readFileSync(join(DEPLOY, 'bramble.yaml'), 'utf8')
const UNINSTALL = `${MANIFEST}\n---\n${readFileSync(join(DEPLOY, 'uninstall.yaml'), 'utf8')}`
const [, IMAGE = ''] = /image: (\S+)/.exec(MANIFEST) ?? []
const TOKEN = 'let-me-in'
const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'
const ADDRESS = '192.0.2.10'
const READY = { type: 'Ready', status: 'True' }
/** As a cloud leaves it on a node whose network is not there yet. */
const UNAVAILABLE = { type: 'NetworkUnavailable', status: 'True', reason: 'NoRouteCreated' }
const ANSWERED = { exitCode: 0 }

t.setTimeout(300_000)
await enterScratchNode()
await run('mount', '-t', 'tmpfs', 'tmpfs', '/opt')
for (const folder of ['/run/etc/upper', '/run/etc/work', '/run/udev/rules.d']) mkdirSync(folder, { recursive: true })
await run('mount', '-t', 'overlay', 'etc', '-o', 'lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work', '/etc')
rmSync('/etc/cni', { recursive: true, force: true }) // what this machine has for its own runtimes
mkdirSync('/etc/cni/net.d', { recursive: true })
await run('ip', 'link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'switch')
for (const link of ['uplink', 'switch']) await run('ip', 'link', 'set', link, 'up')
await run('ip', 'address', 'add', `${ADDRESS}/24`, 'dev', 'uplink')
await run('ip', 'route', 'add', 'default', 'via', '192.0.2.1')

const authority = await CertificateAuthority.make()
const tls = await authority.issue({ alternative: `IP:${ADDRESS}` })
const api = await ApiDouble.start({ tls, tokens: new Set([TOKEN]), host: ADDRESS })
api.objects.put('/api/v1/nodes', {
  metadata: { name: 'pi-1', annotations: { 'example.com/kept': 'yes' } },
  spec: { podCIDRs: ['10.42.1.0/24', 'fd42:0:0:1::/64'] },
  status: { addresses: [{ type: 'InternalIP', address: ADDRESS }], conditions: [READY, UNAVAILABLE] },
})
for (const [resource, apiVersion, kind] of [
  ['servicecidrs', 'networking.k8s.io/v1', 'ServiceCIDR'],
  ['clusternetworkpolicies', 'policy.networking.k8s.io/v1alpha2', 'ClusterNetworkPolicy'],
] as const)
  api.objects.install(`/apis/${apiVersion}/${resource}`, { apiVersion, kind })
api.objects.put('/api/v1/namespaces', { metadata: { name: 'shop' } })
const surroundings = {
  nodeName: 'pi-1',
  host: ADDRESS,
  port: api.port,
  serviceAccount: { 'ca.crt': authority.cert, token: TOKEN, namespace: 'kube-system' },
}
const containerd = await startContainerd({
  plugins: [],
  conflists: { default: {} },
  nodeFolders: { binDir: '/opt/cni/bin', confDir: '/etc/cni/net.d' },
  images: { [IMAGE]: () => brambleImage(IMAGE) },
}).catch(async (error: unknown) => {
  await api.close()
  throw error
})

/** What this node and its pods alone have: by it they are found on the machine. */
const marks = new Set([containerd.cgroup, readlinkSync('/proc/self/ns/net')])
let daemon: DaemonPod
let web: Pod
const bare = await nodeState()

t.test('on a node without any network the agent gets ready', async (t) => {
  t.strictSame(readdirSync('/etc/cni/net.d'), [], 'nothing is there')
  t.notOk(existsSync('/opt/cni/bin'))
  daemon = await startAgent()
  const status = await ctl('status')
  t.match(status, { nodeName: 'pi-1', datastore: 'kubernetes', podCidrs: ['10.42.1.0/24', 'fd42:0:0:1::/64'] })
  t.strictSame(status.problems, [])
})

t.test('it has the capabilities that the manifest names, and no others; its root cannot be written', async (t) => {
  const { stdout } = await daemon.exec('busybox', 'grep', 'CapEff', '/proc/1/status')
  const [NET_ADMIN, NET_RAW, SYS_ADMIN] = [12n, 13n, 21n] // include/uapi/linux/capability.h
  t.equal(BigInt(`0x${stdout.trim().split('\t')[1]}`), (1n << NET_ADMIN) | (1n << NET_RAW) | (1n << SYS_ADMIN))
  t.match((await daemon.exec('busybox', 'grep', 'Seccomp:', '/proc/1/status')).stdout, /2$/m, "the runtime's filter")
  t.match(await daemon.exec('busybox', 'touch', '/opt/bramble/x'), { stderr: /Read-only file system/ })
  t.match(await daemon.exec('busybox', 'touch', '/proc/sys/net/ipv4/ip_forward'), { stderr: /Read-only file system/ })
})

t.test(
  'the runtime finds plugin and network configuration, and beside it the plugin that the image brought',
  async (t) => {
    t.strictSame(readdirSync('/opt/cni/bin').sort(), ['bramble', 'loopback'])
    t.strictSame(readdirSync('/etc/cni/net.d'), ['10-bramble.conflist'])
    t.strictSame(chained(), [{ type: 'bramble', capabilities: { portMappings: true } }])
    await until('containerd has read it', async () => (await containerd.cri.conditions()).every(({ status }) => status))
  },
)

t.test('udev is told to keep NetworkManager and networkd off our links', (t) => {
  t.match(readFileSync('/run/udev/rules.d/90-bramble.rules', 'utf8'), /KERNEL=="brm\*\|bramble\.\*".*NM_UNMANAGED/)
  t.end()
})

t.test('the Node says that its network is there, and keeps what is not ours', async (t) => {
  await until('it says so', () => condition('NetworkUnavailable')?.status === 'False')
  t.match(condition('NetworkUnavailable'), { reason: 'BrambleIsUp', message: /Bramble/ })
  t.strictSame(condition('Ready'), READY)
  await until('the agent has announced itself', () => annotations().includes('bramble.dev/node'))
  t.ok(annotations().includes('example.com/kept'))
})

t.test('a pod gets its network through them, hostPorts included', async (t) => {
  const pod = { metadata: { name: 'web', namespace: 'shop', uid: 'uid-of-web' }, spec: { nodeName: 'pi-1' } }
  api.objects.put('/api/v1/pods', pod)
  web = await startPod(containerd, 'web', {
    portMappings: [{ protocol: 'TCP', hostPort: 8080, containerPort: 80 }],
  })
  for (const mark of web.marks) marks.add(mark)
  t.match(web.addresses, [/^10\.42\.1\./, /^fd42:0:0:1:/])
  api.objects.put('/api/v1/pods', {
    ...pod,
    status: { phase: 'Running', podIPs: web.addresses.map((ip) => ({ ip })) },
  })
  for (const address of web.addresses) t.match(await capture('busybox', ping(address)), ANSWERED)
  await web.startContainer('busybox', 'httpd', '-f', '-p', '80', '-h', '/etc')
  const hostname = async () => (await fetch(`http://${ADDRESS}:8080/hostname`)).text()
  await until('the web server answers', () => hostname().then(Boolean, () => false))
  t.equal(await hostname(), 'web\n')
})

t.test(
  'the doctor finds nothing wrong, and can look at all but files of the node that the pod does not have',
  async (t) => {
    const { findings, unknown } = await ctl('doctor')
    t.strictSame(
      findings.filter(({ severity }: { severity: string }) => severity === 'error'),
      [],
    )
    t.strictSame(
      unknown.map(({ check }: { check: string }) => check),
      ['runtime-paths', 'link-keepers', 'dns-loop', 'dns-search'],
    )
  },
)

t.test('an agent that is replaced leaves pods their network, and finds all in place', async (t) => {
  const before = node().status.conditions
  const next = await startPodOfAgent()
  await until('it waits', () => next.log().some(({ msg }) => /waiting until it has gone/.test(String(msg))))
  t.match(await daemon.exec('busybox', 'wget', '-q', '-O', '-', 'http://127.0.0.1:9739/healthz'), { stdout: 'ok' })
  await daemon.remove()
  daemon = next
  for (const address of web.addresses) t.match(await capture('busybox', ping(address)), ANSWERED)
  await untilReady(daemon)
  t.match(await ctl('pods'), [{ pod: 'shop/web', addresses: web.addresses }])
  t.strictSame(
    messages().filter((message) => /installed|written/.test(message)),
    [],
    'no file is written again',
  )
  t.strictSame(node().status.conditions, before, 'nor the condition of the Node')
})

t.test('what somebody takes away of it is put back', async () => {
  await run('rm', '/etc/cni/net.d/10-bramble.conflist', '/opt/cni/bin/bramble')
  const isBack = () => existsSync('/etc/cni/net.d/10-bramble.conflist') && existsSync('/opt/cni/bin/bramble')
  await until('it is back', isBack)
})

t.test('a plugin that an older agent has brought is replaced, and one of somebody else is not', async (t) => {
  const loopback = '/opt/cni/bin/loopback'
  const brought = readFileSync(loopback)
  writeFileSync(loopback, 'of an older version')
  utimesSync(loopback, LINK_GROUP.pods, LINK_GROUP.pods)
  await until('it is replaced', () => readFileSync(loopback).equals(brought))
  t.equal(Math.floor(statSync(loopback).mtimeMs / 1000), LINK_GROUP.pods, 'uninstalling knows it')
  writeFileSync(loopback, 'of somebody else')
  await new Promise((resolve) => setTimeout(resolve, 1000))
  t.equal(readFileSync(loopback, 'utf8'), 'of somebody else')
  rmSync(loopback)
  await until('the brought one is back', () => existsSync(loopback) && readFileSync(loopback).equals(brought))
})

t.test('to uninstall waits for pods that have their network by Bramble, and then leaves nothing of it', async (t) => {
  await daemon.remove()
  daemon = await startDaemonPod(containerd, UNINSTALL, surroundings, 'uninstall')
  await until('it waits', () => daemon.output().includes('one pod has its network by Bramble: waiting'))
  t.ok(existsSync('/etc/cni/net.d/10-bramble.conflist'), 'without it containerd could not delete the pod')
  t.match(await capture('busybox', ping(web.addresses[0] ?? '')), ANSWERED)
  await web.remove()
  await until('it is over', async () => (await daemon.exitCode()) !== undefined)
  t.equal(await daemon.exitCode(), 0, daemon.output())
  for (const gone of [
    'file /etc/cni/net.d/10-bramble.conflist',
    'file /opt/cni/bin/bramble',
    'file /opt/cni/bin/loopback',
    'file /run/udev/rules.d/90-bramble.rules',
    'table inet bramble-policy',
    'annotation bramble.dev/node of node pi-1',
    'condition NetworkUnavailable=False of node pi-1',
  ])
    t.match(daemon.output(), `removed ${gone}`)
  t.strictSame(await nodeState(), bare)
  t.strictSame(readdirSync('/opt/cni/bin'), [])
  t.strictSame(readdirSync('/etc/cni/net.d'), [])
  t.strictSame(readdirSync('/run/bramble'), [])
  t.strictSame(annotations(), ['example.com/kept'])
  t.strictSame(node().status.conditions, [READY])
})

t.test('whatever was asked of the API server, the roles permit', (t) => {
  const permitted = permissions()
  const asked = new Set(api.requests.flatMap(({ verb, path }) => permission(verb, path) ?? []))
  t.strictSame(
    [...asked].filter((one) => !permitted.has(one)),
    [],
  )
  for (const one of ['patch /nodes/status', 'list networking.k8s.io/servicecidrs', 'watch /pods'])
    t.ok(asked.has(one), one)
  t.end()
})

t.test('what runs when a node is clean has no rights at all, and ends when it is told to', async (t) => {
  await daemon.remove()
  daemon = await startDaemonPod(containerd, UNINSTALL, surroundings)
  for (const mark of daemon.marks) marks.add(mark)
  const { stdout } = await daemon.exec('busybox', 'grep', 'CapEff', '/proc/1/status')
  t.match(stdout, /\t0{16}$/m)
  t.match(await daemon.exec('busybox', 'ls', SERVICE_ACCOUNT), { stderr: /No such file/ }, 'nor the token')
  t.equal(await daemon.exitCode(), undefined)
})

t.test('when all is over, nothing is left on the machine', async (t) => {
  await daemon.remove()
  await containerd.stop()
  await api.close()
  authority.remove()
  await until('its last processes are gone', async () => (await traces([...marks])).length === 0).catch(() => {})
  t.strictSame(await traces([...marks]), [])
})

t.after(async () => {
  if (!t.passing()) t.comment(daemon?.output(), containerd.log())
  await containerd.stop().catch(() => {})
  await api.close()
})

async function startAgent(): Promise<DaemonPod> {
  const pod = await startPodOfAgent()
  await untilReady(pod)
  return pod
}

async function startPodOfAgent(): Promise<DaemonPod> {
  const pod = await startDaemonPod(containerd, MANIFEST, surroundings)
  for (const mark of pod.marks) marks.add(mark)
  return pod
}

async function untilReady(pod: DaemonPod): Promise<void> {
  await until('the agent is ready', async () => {
    const exitCode = await pod.exitCode()
    if (exitCode !== undefined) throw new Error(`it ended with ${exitCode}: ${pod.output()}`)
    return pod.log().some(({ msg }) => msg === 'ready')
  })
}

function chained(): unknown[] {
  return JSON.parse(readFileSync('/etc/cni/net.d/10-bramble.conflist', 'utf8')).plugins
}

/** What bramblectl says, in the container. */
async function ctl(...words: string[]) {
  const { stdout, stderr } = await daemon.exec('bramblectl', ...words, '-o', 'json')
  if (stdout === '') throw new Error(stderr)
  return JSON.parse(stdout)
}

/** `patch /nodes/status`; what is about no resource (discovery) everybody may. */
function permission(verb: string, path: string): string | undefined {
  const [, group = '', rest = ''] = /^\/(?:api|apis\/([^/]+))\/v[^/]+\/(.+)$/.exec(path) ?? []
  const [plural, , ...subresource] = rest.replace(/^namespaces\/[^/]+\/(?=.)/, '').split('/')
  return plural ? `${verb} ${[`${group}/${plural}`, ...subresource].join('/')}` : undefined
}

function permissions(): Set<string> {
  const rules = parseAllDocuments(MANIFEST)
    .map((document) => document.toJS())
    .flatMap(({ kind, rules }) => (/^(Cluster)?Role$/.test(kind) ? rules : []))
  return new Set(
    rules.flatMap(({ apiGroups, resources, verbs }: Record<'apiGroups' | 'resources' | 'verbs', string[]>) =>
      apiGroups.flatMap((group) => resources.flatMap((one) => verbs.map((verb) => `${verb} ${group}/${one}`))),
    ),
  )
}

function messages(): string[] {
  return daemon.log().map(({ msg }) => String(msg))
}

function node() {
  return api.objects.get('/api/v1/nodes', 'pi-1') as unknown as {
    metadata: { annotations?: Record<string, string> }
    status: { conditions: { type: string; status: string; reason?: string }[] }
  }
}

function condition(type: string) {
  return node().status.conditions.find((one) => one.type === type)
}

function annotations(): string[] {
  return Object.keys(node().metadata.annotations ?? {})
}

/** What of the node a network changes. kube-proxy's kind of chains is portmap's own, and stays when that goes. */
async function nodeState() {
  const links = JSON.parse(await run('ip', '-json', 'link')) as { ifname: string }[]
  const [routes, rules] = [
    await run('ip', '-4', 'route', 'show', 'table', 'all', 'type', 'unicast'),
    await run('ip', 'rule'),
  ]
  const tables = (await run('nft', 'list', 'tables')).split('\n').filter((table) => !/ (nat|filter)$/.test(table))
  return { links: links.map(({ ifname }) => ifname), routes, rules, tables }
}
