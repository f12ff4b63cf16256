import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { testCluster } from '../../../ctl/connectivity/cluster.ts'
import { ApiDouble, type Fault, type SeenRequest } from '../../agent/cluster/kubernetes/api-double.ts'
import { BRAMBLECTL } from '../tool.ts'

/** That a test in a cluster takes its namespace away, whatever becomes of the requests that make it and take it. */
const NAMESPACES = '/api/v1/namespaces'

async function cluster(t: Test) {
  const api = await ApiDouble.start()
  t.teardown(() => api.close())
  api.objects.put('/api/v1/nodes', {
    metadata: { name: 'n1' },
    status: { conditions: [{ type: 'Ready', status: 'True' }] },
  })
  const kubeconfig = join(t.testdir(), 'kubeconfig')
  const clusters = [{ name: 'pis', cluster: { server: api.url } }]
  const contexts = [{ name: 'here', context: { cluster: 'pis' } }]
  writeFileSync(kubeconfig, JSON.stringify({ 'current-context': 'here', contexts, clusters }))
  const interrupted = new AbortController()
  const said: string[] = []
  /** As a program, to which signals are sent. */
  const spawned = () => {
    const words = ['connectivity', 'test', '--kubeconfig', kubeconfig, '--image', 'image', '--outside', 'none']
    const child = spawn(process.execPath, [BRAMBLECTL, ...words], {
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: 60_000,
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => said.push(text))
    return child
  }
  const test = (image?: string) =>
    testCluster({
      kubeconfig,
      ...(image && { image }),
      ...{ nodes: [], outside: [], hasPolicy: false, isCleaning: false },
      say: (text) => said.push(text),
      signal: interrupted.signal,
    })
  const isNamespace = ({ path }: SeenRequest) => path.startsWith(NAMESPACES) && path.split('/').length < 6
  /** Each fault for one request. */
  const meet = (verb: SeenRequest['verb'], ...faults: (Fault | undefined)[]) => {
    const before = api.fault
    api.fault = (request) => (request.verb === verb && isNamespace(request) ? faults.shift() : before(request))
  }
  const left = () => api.objects.list(NAMESPACES).map(({ metadata }) => metadata.name)
  return { api, test, spawned, said, interrupted, meet, left }
}

t.test('interrupted while the namespace is made, it waits for the answer and takes it away', async (t) => {
  const { api, test, said, interrupted, meet, left } = await cluster(t)
  meet('create', { kind: 'slow', ms: 300 })
  const ended = test('image')
  const timer = setInterval(() => {
    if (api.count('create') > 0) interrupted.abort()
  }, 5)
  await t.rejects(ended, { name: 'AbortError' })
  clearInterval(timer)
  t.equal(api.count('delete'), 1)
  t.same(left(), [])
  t.match(said.at(-1), /^namespace bramble-test-[0-9a-f]{6} is taken away$/)
})

t.test('so it is by Ctrl-C, by kill, and when the terminal or ssh has gone', async (t) => {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    const { api, spawned, said, meet, left } = await cluster(t)
    meet('create', { kind: 'slow', ms: 300 })
    const child = spawned()
    const timer = setInterval(() => {
      if (api.count('create') === 0) return
      clearInterval(timer)
      child.kill(signal)
    }, 5)
    t.same(await once(child, 'close'), [code, null], signal)
    clearInterval(timer)
    t.match(said.join(''), /interrupted: what was made is taken away/)
    t.same(left(), [])
  }
})

t.test('one that was made though the answer was lost is taken away', async (t) => {
  const { api, test, meet, left } = await cluster(t)
  meet('create', { kind: 'half' })
  await t.rejects(test('image'), { code: 'CLUSTER_TEST' })
  t.equal(api.count('delete'), 1)
  t.same(left(), [])
})

t.test('an API server that is away for a moment is asked again to take it away', async (t) => {
  const { api, test, meet, left } = await cluster(t)
  meet('create', { kind: 'half' })
  const busy = { kind: 'answer', status: 503, body: '' } as const
  meet('delete', { kind: 'reset' }, busy)
  meet('get', { kind: 'reset' })
  await t.rejects(test('image'), { code: 'CLUSTER_TEST' })
  t.equal(api.count('delete'), 3)
  t.same(left(), [])
})

t.test('one that was refused is nothing to take away', async (t) => {
  const { api, test } = await cluster(t)
  api.forbidden.add('create namespaces')
  await t.rejects(test('image'), { code: 'CLUSTER_TEST', message: /does not let us create/ })
  t.equal(api.count('delete'), 0)
})

t.test('a DaemonSet that may not be read is another thing than none', async (t) => {
  const { api, test } = await cluster(t)
  api.objects.install('/apis/apps/v1/daemonsets', { apiVersion: 'apps/v1', kind: 'DaemonSet' })
  await t.rejects(test(), { message: /^there is no DaemonSet kube-system\/bramble / })
  api.forbidden.add('get daemonsets')
  await t.rejects(test(), { message: /^our user may not read the DaemonSet .* name one: --image REFERENCE$/ })
})

t.end()
