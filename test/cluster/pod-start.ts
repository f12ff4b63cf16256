/**
 * How long pods take from their creation until they are Ready: 100 pods, ten a second, whatever pod network the cluster
 * has. To compare, run it on the same cluster once with Bramble and once with another.
 *
 *     node test/cluster/pod-start.ts    KUBECTL and PLAIN_IMAGE as pods.ts has them
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { get, kubectl, kubectlCommand, until } from './kubectl.ts'
import { makeNamespace, NAMESPACE, plainPod } from './pods.ts'

const COUNT = 100
const EACH_MS = 100
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`

const folder = mkdtempSync(join(tmpdir(), 'bramble-trial-'))
const socketPath = join(folder, 'api.sock')
const [program, ...first] = kubectlCommand()
// A group of its own: KUBECTL may be a script, whose child would go on, and with it this program, which reads from it.
const proxy = spawn(program, [...first, 'proxy', `--unix-socket=${socketPath}`], {
  stdio: ['ignore', 'pipe', 'inherit'],
  detached: true,
})
process.on('exit', () => {
  if (proxy.pid !== undefined && proxy.exitCode === null && proxy.signalCode === null) process.kill(-proxy.pid)
  rmSync(folder, { recursive: true })
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
await once(proxy.stdout, 'data')
await makeNamespace()
await until('pods may be made', async () => Boolean(await get('serviceaccount', 'default', '-n', NAMESPACE)))

const createdMs = new Map<string, number>()
const tookMs = new Map<string, number>()
const whole = Promise.withResolvers<void>()
const events = await call('GET', `${PODS}?watch=1`)
createInterface(events).on('line', (line) => {
  const { object } = JSON.parse(line)
  const { name } = object.metadata
  const isReady = object.status?.conditions?.some(
    ({ type, status }: { type: string; status: string }) => type === 'Ready' && status === 'True',
  )
  const begunMs = createdMs.get(name)
  if (!isReady || begunMs === undefined || tookMs.has(name)) return
  tookMs.set(name, performance.now() - begunMs)
  if (tookMs.size === COUNT) whole.resolve()
})
for (let number = 0; number < COUNT; number++) {
  const name = `start-${number}`
  createdMs.set(name, performance.now())
  void call('POST', PODS, plainPod(name)).then((response) => {
    response.resume()
    if (response.statusCode !== 201) whole.reject(new Error(`pod ${name} is not created: ${response.statusCode}`))
  })
  await sleep(EACH_MS)
}
await Promise.race([whole.promise, sleep(300_000, undefined, { ref: false })])
events.destroy()
const sorted = [...tookMs.values()].toSorted((a, b) => a - b)
const at = (part: number) => Math.round(sorted[Math.ceil(part * sorted.length) - 1] ?? Number.NaN)
process.stdout.write(`${sorted.length} of ${COUNT} pods Ready: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms\n`)
process.exitCode = sorted.length === COUNT ? 0 : 1
await kubectl(['delete', 'namespace', NAMESPACE, '--timeout=110s'])
process.exit()

function call(method: string, path: string, body?: object): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request({ socketPath, method, path, headers: { 'content-type': 'application/json' } }, resolve)
      .on('error', reject)
      .end(body && JSON.stringify(body))
  })
}
