import t, { type Test } from 'tap'
import type { ApiObject } from '../../../../agent/cluster/kubernetes/answers.ts'
import { ApiClient } from '../../../../agent/cluster/kubernetes/client.ts'
import { Reflector, type Sink } from '../../../../agent/cluster/kubernetes/watch.ts'
import { ApiDouble, type ApiDoubleOptions, type LiveWatch } from './api-double.ts'
import { until } from './until.ts'

const PODS = { path: '/api/v1/pods', apiVersion: 'v1', kind: 'Pod', name: 'pods' }
const EAGER = { firstMs: 1, mostMs: 20 }

/** What a sink was told, in words; and what it holds. */
class Told implements Sink {
  readonly words: string[] = []
  #names = new Set<string>()
  #listed: Set<string> | undefined

  get names(): string[] {
    return [...this.#names].sort()
  }

  begin(): void {
    this.words.push('begin')
    this.#listed = new Set()
  }

  put({ kind, metadata: { name } }: ApiObject): void {
    this.words.push(`put ${kind} ${name}`)
    ;(this.#listed ?? this.#names).add(name)
  }

  remove({ metadata: { name } }: ApiObject): void {
    this.words.push(`remove ${name}`)
    this.#names.delete(name)
  }

  end(): void {
    this.words.push('end')
    this.#names = this.#listed ?? new Set()
    this.#listed = undefined
  }
}

async function fixture(t: Test, { backoff = EAGER, watchMs = 60_000, ...options }: FixtureOptions = {}) {
  const double = await ApiDouble.start(options)
  const client = new ApiClient({ server: double.url, skipsTlsVerify: false }, { watchMs, headMs: 1_000 })
  const told = new Told()
  const troubles: (string | undefined)[] = []
  const reflector = new Reflector(client, PODS, told, (trouble) => troubles.push(trouble), backoff)
  t.teardown(async () => {
    await reflector.close()
    client.close()
    await double.close()
  })
  const put = (...names: readonly string[]) => {
    for (const name of names) double.objects.put(PODS.path, { metadata: { name, namespace: 'home' } })
  }
  const onEach = (act: (watch: LiveWatch) => void) => {
    for (const watch of double.watches) act(watch)
  }
  /** Whole ones: those for one object ask where the versions stand. */
  const lists = () => double.requests.filter(({ verb, query }) => verb === 'list' && query.limit !== '1').length
  const watching = () => until('there is a watch', () => double.watches.size === 1)
  return { double, told, troubles, reflector, put, onEach, lists, watching }
}

interface FixtureOptions extends ApiDoubleOptions {
  readonly backoff?: { readonly firstMs: number; readonly mostMs: number }
  readonly watchMs?: number
}

t.test('lists, then watches from the version of the list', async (t) => {
  const { double, told, reflector, put, watching } = await fixture(t)
  put('a', 'b')
  const version = String(double.objects.version)
  reflector.start()
  await watching()
  t.same(told.words, ['begin', 'put Pod a', 'put Pod b', 'end'])
  const [list, watch] = double.requests
  t.match(list, { verb: 'list', query: { limit: '500' } })
  t.equal(list?.query.resourceVersion, undefined, 'the newest, not what some cache has')
  t.match(watch, { verb: 'watch', query: { resourceVersion: version, allowWatchBookmarks: 'true' } })
  const seconds = Number(watch?.query.timeoutSeconds)
  t.ok(seconds >= 300 && seconds <= 600, `${seconds} s`)
  put('c')
  double.objects.delete(PODS.path, 'home/a')
  await until('two events', () => told.words.length === 6)
  t.same(told.words.slice(4), ['put Pod c', 'remove a'])
})

t.test('a watch that ends or breaks goes on where it was, without a list', async (t) => {
  const { double, told, troubles, reflector, put, watching, onEach, lists } = await fixture(t)
  reflector.start()
  const ends: readonly (() => void)[] = [
    () => onEach((watch) => watch.end()),
    () => onEach((watch) => watch.cut()),
    () => double.disconnect(),
  ]
  for (const [index, end] of ends.entries()) {
    await watching()
    put(`before-${index}`)
    await until('it is told', () => told.names.includes(`before-${index}`))
    end()
    put(`meanwhile-${index}`)
    await until('what happened meanwhile is told', () => told.names.includes(`meanwhile-${index}`))
  }
  t.equal(lists(), 1)
  t.equal(told.words.filter((word) => word === 'put Pod before-0').length, 1, 'and nothing twice')
  t.same(troubles, [], 'that connections end is nothing to tell')
})

t.test('a silent connection is given up, and the watch goes on over another', async (t) => {
  const { told, reflector, put, watching, onEach, lists } = await fixture(t, { watchMs: 200 })
  reflector.start()
  await watching()
  onEach((watch) => watch.silence())
  put('unheard')
  await until('it is told all the same', () => told.names.includes('unheard'))
  t.equal(lists(), 1)
})

t.test('a bookmark moves the version on', async (t) => {
  const { double, reflector, watching, onEach, lists } = await fixture(t)
  reflector.start()
  await watching()
  double.objects.put('/api/v1/nodes', { metadata: { name: 'other' } }) // moves the counter, and is not ours
  double.bookmark()
  const version = String(double.objects.version)
  await until('a watch from there', () => {
    onEach((watch) => watch.end())
    return double.requests.at(-1)?.query.resourceVersion === version
  })
  double.compact()
  await until('the last watch is open', () => double.watches.size === 1)
  const watches = double.count('watch')
  onEach((watch) => watch.end())
  await until('the next one is open', () => double.count('watch') > watches && double.watches.size === 1)
  t.equal(lists(), 1, 'whatever was compacted was older')
})

t.test('when the history is gone everything is listed again', async (t) => {
  for (const goneAs of ['event', 'status'] as const) {
    const { double, told, troubles, reflector, put, watching, lists } = await fixture(t)
    double.goneAs = goneAs
    put('a', 'b')
    reflector.start()
    await watching()
    double.fault = ({ verb }) => (verb === 'watch' ? { kind: 'reset' } : undefined) // away for a while
    double.disconnect()
    double.objects.delete(PODS.path, 'home/a')
    put('c')
    double.compact()
    double.fault = () => undefined
    await until('the view is that of the server', () => told.names.join() === 'b,c')
    await watching()
    t.equal(lists(), 2)
    t.same(
      troubles.filter((trouble) => /410|too old/.test(trouble ?? '')),
      [],
      'that is nothing to tell',
    )
  }
})

t.test('a list whose next page has expired begins again', async (t) => {
  const { double, told, reflector, put } = await fixture(t)
  put(...Array.from({ length: 501 }, (_, index) => `pod-${index}`))
  let isFirst = true
  double.fault = ({ query }) => {
    if (query.continue && isFirst) {
      isFirst = false
      double.objects.delete(PODS.path, 'home/pod-0')
      double.compact()
    }
    return undefined
  }
  reflector.start()
  await until('it has listed', () => told.words.includes('end'))
  t.equal(told.names.length, 500)
  t.equal(told.words.filter((word) => word === 'begin').length, 2)
  t.equal(told.words.filter((word) => word === 'end').length, 1)
})

t.test('a server that was restored from a backup is listed again: our version is of its future', async (t) => {
  const { double, told, reflector, put, watching } = await fixture(t)
  put('a', 'b', 'c')
  reflector.start()
  await watching()
  double.objects.delete(PODS.path, 'home/b')
  await until('it is told', () => told.names.join() === 'a,c')
  double.objects.restoreAt(1001)
  double.disconnect()
  put('d')
  await until('the view is that of the server', () => told.names.join() === 'a,c,d')
})

t.test('a server that is away is told once, in words, until it is back', async (t) => {
  const { double, told, troubles, reflector, put } = await fixture(t)
  double.fault = () => ({ kind: 'reset' })
  reflector.start()
  await until('several tries', () => double.requests.length > 5)
  t.same(troubles, ['not reachable (ECONNRESET), for less than a minute'])
  put('a')
  double.fault = () => undefined
  await until('it is back', () => told.names.join() === 'a')
  t.same(troubles.slice(1), [undefined])
})

t.test('what the server refuses is told, tried again, and over when it allows it', async (t) => {
  const { double, told, troubles, reflector, put, watching } = await fixture(t, { tokens: new Set(['other']) })
  reflector.start()
  await until('the first trouble', () => troubles.length === 1)
  double.forbidden.add('list pods')
  double.forbidden.add('watch pods')
  double.tokens = undefined
  await until('the second', () => troubles.length === 2)
  double.forbidden.delete('list pods')
  await until('the third', () => /watch/.test(troubles.at(-1) ?? ''))
  double.forbidden.clear()
  await watching()
  put('a')
  await until('all is well', () => told.names.join() === 'a' && troubles.at(-1) === undefined)
  t.match(troubles, [
    /does not accept our credentials \(401\)/,
    /does not let us list pods \(403\): give a ClusterRole with the verb "list" on "pods"/,
    undefined, // it has listed
    /does not let us watch pods \(403\)/,
    undefined,
  ])
  t.equal(told.words.filter((word) => word === 'end').length, 1, 'who may not watch need not list again')
})

t.test('rubbish in a watch is told, and the watch goes on where it was', async (t) => {
  const { told, troubles, reflector, put, watching, onEach, lists } = await fixture(t)
  reflector.start()
  await watching()
  onEach((watch) => watch.send('<html>\n'))
  await until('it is told', () => troubles.length === 1)
  t.match(troubles[0], /no JSON: <html>; is this an API server, or a proxy before it\?/)
  put('a')
  await until('all is well', () => told.names.join() === 'a' && troubles.at(-1) === undefined)
  t.equal(lists(), 1)
})

t.test('an error event that is none of history has everything listed again', async (t) => {
  const { reflector, watching, onEach, lists } = await fixture(t)
  reflector.start()
  await watching()
  onEach((watch) =>
    watch.end({ type: 'ERROR', object: { kind: 'Status', code: 400, reason: 'BadRequest', message: 'unknown' } }),
  )
  await until('a second list', () => lists() === 2)
})

t.test('tries come further and further apart, each by chance', async (t) => {
  const { double, reflector } = await fixture(t, { backoff: { firstMs: 1, mostMs: 100_000 } })
  double.fault = () => ({ kind: 'reset' })
  reflector.start()
  await until('seven tries', () => double.requests.length >= 7) // within 1 + 2 + 4 + … + 64 ms, and some luck
  const { length } = double.requests
  await new Promise((resolve) => setTimeout(resolve, 200))
  t.ok(double.requests.length - length < 7, 'without growing waits there were hundreds')
})

t.test('a server that asks us to wait is waited for', async (t) => {
  const { double, reflector, told } = await fixture(t)
  let isBusy = true
  double.fault = () => {
    if (!isBusy) return undefined
    isBusy = false
    return { kind: 'answer', status: 429, headers: { 'retry-after': '1' }, body: '' }
  }
  const beganMs = performance.now()
  reflector.start()
  await until('it has listed', () => told.words.includes('end'))
  t.ok(performance.now() - beganMs >= 990)
})

t.test('close ends it wherever it is', async (t) => {
  for (const fault of [{ kind: 'silence' }, { kind: 'reset' }, undefined] as const) {
    const { double, reflector, troubles } = await fixture(t, { backoff: { firstMs: 60_000, mostMs: 60_000 } })
    double.fault = () => fault
    reflector.start()
    await until('it is under way', () => double.requests.length > 0)
    await new Promise((resolve) => setTimeout(resolve, 20))
    const { length } = troubles
    await reflector.close()
    t.equal(troubles.length, length, 'and that is no trouble')
  }
})
