import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { isHopeless, serviceAddresses, troubleOf } from '../../../ctl/connectivity/cluster-objects.ts'
import { probePod, serverPod } from '../../../ctl/connectivity/objects.ts'
import { parseTarget } from '../../../ctl/connectivity/options.ts'
import { isForgotten } from '../../../ctl/connectivity/test-namespace.ts'
import { userAccess } from '../../../ctl/connectivity/user-access.ts'
import { BRAMBLECTL } from '../tool.ts'

const metadata = { name: 'server-0' }
const waiting = (reason: string, message?: string) => ({
  metadata,
  status: { phase: 'Pending', containerStatuses: [{ state: { waiting: { reason, ...(message && { message }) } } }] },
})

t.test('why a pod does not start: the last warning, or else what its container waits for', (t) => {
  const event = (message: string, lastTimestamp: string, name = 'server-0') => ({
    ...{ metadata: { name: message }, type: 'Warning', reason: 'FailedCreatePodSandBox', message },
    ...{ lastTimestamp, involvedObject: { name } },
  })
  const events = [event('newer', '2026-01-02'), event('older', '2026-01-01'), event('else', '2026-01-03', 'server-1')]
  t.equal(troubleOf(waiting('ContainerCreating'), 'server-0', events), 'FailedCreatePodSandBox: newer')
  t.equal(troubleOf(waiting('ErrImagePull', 'no such host'), 'server-0', []), 'ErrImagePull: no such host')
  t.equal(troubleOf(undefined, 'server-0', []), 'nobody has seen it, and no event says why')
  t.ok(troubleOf(waiting('X', 'y'.repeat(9999)), 'server-0', []).length < 500)
  t.end()
})

t.test('what no waiting helps is not waited for', (t) => {
  t.ok(isHopeless(waiting('ImagePullBackOff')))
  t.ok(isHopeless({ metadata, status: { phase: 'Failed' } }))
  t.notOk(isHopeless(waiting('ContainerCreating')))
  t.notOk(isHopeless({ metadata }))
  t.end()
})

t.test('a Service without an address has none', (t) => {
  t.same(serviceAddresses({ metadata, spec: { clusterIP: 'None', clusterIPs: ['None'] } }), [])
  t.same(serviceAddresses({ metadata, spec: { clusterIP: '10.96.0.1' } }), ['10.96.0.1'])
  t.end()
})

t.test('pods ask for as little as they need, and end by themselves', (t) => {
  const place = { name: 'p', namespace: 'n', node: 'pi-1', image: 'i' }
  for (const pod of [serverPod(place), probePod(place, 'client', [], false), probePod(place, 'client', [], true)])
    t.match(pod, {
      spec: {
        nodeName: 'pi-1',
        automountServiceAccountToken: false,
        activeDeadlineSeconds: Number,
        securityContext: { runAsNonRoot: true },
        containers: [{ securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } } }],
      },
    })
  t.end()
})

t.test('a namespace is forgotten when it is older than any test, by the clock of the server', (t) => {
  const namespace = (creationTimestamp: string) => ({ metadata: { name: 'bramble-test-1', creationTimestamp } })
  t.ok(isForgotten(namespace('2026-01-01T00:00:00Z'), '2026-01-01T00:15:01Z'))
  t.notOk(isForgotten(namespace('2026-01-01T00:00:00Z'), '2026-01-01T00:14:59Z'))
  t.notOk(isForgotten(namespace(''), '2026-01-01T00:15:01Z'))
  t.end()
})

t.test('--outside is an address and a port', (t) => {
  t.same(parseTarget('192.0.2.1:443'), { address: '192.0.2.1', port: 443 })
  t.same(parseTarget('[2001:DB8::0:1]:53'), { address: '2001:db8::1', port: 53 })
  for (const text of [
    '192.0.2.1',
    '192.0.2.1:0',
    '192.0.2.1:65536',
    '2001:db8::1:53',
    '[192.0.2.1]:1',
    'one.one:443',
    '\u001b[2J:1',
  ])
    t.throws(() => parseTarget(text), /^--outside "[\x20-\x7e]*" is no ADDRESS:PORT; write 192\.0\.2\.1:443/)
  t.end()
})

t.test('the kubeconfig is the one that is given, or KUBECONFIG; another context by its name', (t) => {
  const dir = t.testdir()
  const file = (name: string, server: string) => {
    const clusters = [
      { name: 'a', cluster: { server: `https://${server}` } },
      { name: 'b', cluster: { server: 'https://other:6443' } },
    ]
    const contexts = ['a', 'b'].map((one) => ({ name: one, context: { cluster: one } }))
    writeFileSync(join(dir, name), JSON.stringify({ 'current-context': 'a', clusters, contexts }))
    return join(dir, name)
  }
  const [given, byVariable] = [file('given', 'given:1'), file('variable', 'variable:1')]
  t.equal(userAccess(given, undefined).access.server, 'https://given:1')
  t.equal(userAccess(given, 'b').access.server, 'https://other:6443')
  t.throws(() => userAccess(given, 'c'), /current-context is "c", which is not in contexts\[\] \(there: a, b\)/)
  const before = process.env.KUBECONFIG
  t.teardown(() => {
    if (before === undefined) delete process.env.KUBECONFIG
    else process.env.KUBECONFIG = before
  })
  process.env.KUBECONFIG = byVariable
  t.match(userAccess(undefined, undefined), { path: byVariable, access: { server: 'https://variable:1' } })
  process.env.KUBECONFIG = `${given}:${byVariable}`
  t.throws(() => userAccess(undefined, undefined), /names 2 files, which only kubectl puts together/)
  t.end()
})

t.test('in a pod, which has none, the message has the command that hands a kubeconfig in', (t) => {
  const home = t.testdir()
  const run = (words: string, environment: NodeJS.ProcessEnv) => {
    const command = `${words} "$NODE" "$BRAMBLECTL" connectivity test "$@"`
    const env = { HOME: home, NODE: process.execPath, BRAMBLECTL, PATH: process.env.PATH, ...environment }
    return (...args: string[]) => spawnSync('sh', ['-c', command, 'sh', ...args], { env, encoding: 'utf8' })
  }
  const pod = { KUBERNETES_SERVICE_HOST: '10.96.0.1' }
  const inPod = run('', pod)()
  t.equal(inPod.status, 1)
  t.match(inPod.stderr, 'kubectl config view --raw --flatten | kubectl -n kube-system exec -i daemonset/bramble -- ')
  t.match(inPod.stderr, 'bramblectl connectivity test --kubeconfig /dev/stdin')
  t.match(run('', {})().stderr, /there is no kubeconfig \(.*or --local/)
  const [clusters, contexts] = [
    [{ name: 'a', cluster: { server: 'https://127.0.0.1:1' } }],
    [{ name: 'a', context: { cluster: 'a' } }],
  ]
  const CONFIG = JSON.stringify({ 'current-context': 'a', clusters, contexts })
  const handedIn = run('printf %s "$CONFIG" |', { ...pod, CONFIG })('--kubeconfig', '/dev/stdin')
  t.match(handedIn.stderr, 'the API server is https://127.0.0.1:1, by /dev/stdin')
  t.end()
})

t.end()
