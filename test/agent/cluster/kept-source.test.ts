import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import t from 'tap'
import { KeptSource } from '../../../agent/cluster/kept-source.ts'
import { KeptView } from '../../../agent/cluster/kept-view.ts'
import type { ClusterNode, ClusterSource, ClusterView, ViewChange } from '../../../agent/cluster/view.ts'
import { type Cidr, parseCidr } from '../../../ipam/address.ts'
import { until } from './kubernetes/until.ts'

const log = pino({ level: 'silent' })
const CIDRS = [parseCidr('10.42.1.0/24')]
const node = (name: string, cidr: string): ClusterNode => ({
  name,
  podCidrs: [parseCidr(cidr)],
  addresses: ['192.168.1.1'],
})
const VIEW: ClusterView = {
  nodes: new Map([
    ['pi-1', node('pi-1', '10.42.1.0/24')],
    ['pi-2', { ...node('pi-2', '10.42.2.0/24'), announcement: { encapsulations: ['vxlan'] } }],
  ]),
}

/** A source that says what the test tells it to. */
class Told implements ClusterSource {
  readonly joined = Promise.withResolvers<readonly Cidr[]>()
  onChange: ((change: ViewChange) => void) | undefined
  onProblems: Parameters<ClusterSource['join']>[0] = () => {}
  join(onProblems: Parameters<ClusterSource['join']>[0]): Promise<readonly Cidr[]> {
    this.onProblems = onProblems
    return this.joined.promise
  }
  announce(): void {}
  start(onChange: (change: ViewChange) => void): void {
    this.onChange = onChange
  }
  async close(): Promise<void> {}
}

function keptAt(path: string) {
  const told = new Told()
  const source = new KeptSource(told, new KeptView(path, 'here', log), 'pi-1')
  const heard: ViewChange[] = []
  return { told, source, heard, start: () => source.start((change) => heard.push(change)) }
}
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** A file as the agent before this one left it. */
async function leave(path: string): Promise<void> {
  const { told, source, start } = keptAt(path)
  told.joined.resolve(CIDRS)
  await source.join(() => {})
  start()
  await turn()
  told.onChange?.({ view: VIEW, problems: [] })
  await source.close()
}

t.test('what was kept of another cluster is as if there were none', async (t) => {
  const path = join(t.testdir(), 'view.json')
  await leave(path)
  t.ok(new KeptView(path, 'here', log).read())
  t.equal(new KeptView(path, 'redis://elsewhere:6379', log).read(), undefined)
})

t.test('a source that answers counts, and what it says is kept for the next agent', async (t) => {
  const path = join(t.testdir(), 'view.json')
  await leave(path)
  t.equal(statSync(path).mode & 0o777, 0o600)
  const { told, source, heard, start } = keptAt(path)
  told.joined.resolve([parseCidr('10.42.7.0/24')])
  t.same(await source.join(() => {}), [parseCidr('10.42.7.0/24')])
  start()
  t.same(heard[0]?.view, VIEW, 'until the source has said something')
  await turn()
  const next = { nodes: new Map([['pi-1', node('pi-1', '10.42.7.0/24')]]) }
  told.onChange?.({ view: next, problems: [] })
  t.equal(heard.at(-1)?.view, next)
  await source.close()
})

t.test('while the source is away, this node has the pod CIDRs that it had, and the others are known', async (t) => {
  const path = join(t.testdir(), 'view.json')
  await leave(path)
  const { told, source, heard, start } = keptAt(path)
  const joined = source.join(() => {})
  const away = [{ object: 'redis://10.0.0.1:6379', reason: 'not reachable' }]
  told.onProblems(away)
  t.same(await joined, CIDRS)
  start()
  t.same(heard, [{ view: VIEW, problems: away }])
  told.joined.resolve(CIDRS)
  await turn()
  told.onChange?.({ view: undefined, problems: away })
  t.same(heard.at(-1), { view: VIEW, problems: away }, 'there again, but has not listed yet')
  await source.close()
})

t.test('without anything kept, there is nothing to do but wait for the source', async (t) => {
  const { told, source, start, heard } = keptAt(join(t.testdir(), 'view.json'))
  const joined = source.join(() => {})
  told.joined.reject(new Error('no'))
  await t.rejects(joined, { message: 'no' })
  start()
  t.same(heard, [{ view: undefined, problems: [] }])
  await source.close()
})

t.test('a file that is cut, empty, of another format or nonsense is as if there were none', async (t) => {
  const path = join(t.testdir(), 'view.json')
  await leave(path)
  const whole = readFileSync(path, 'utf8')
  for (const text of ['', whole.slice(0, 80), whole.replace('bramble-view/1', 'bramble-view/9'), '{}', '[1]', 'null']) {
    writeFileSync(path, text)
    const { told, source, heard, start } = keptAt(path)
    told.joined.resolve(CIDRS)
    t.same(await source.join(() => {}), CIDRS, text.slice(0, 20))
    start()
    t.equal(heard[0]?.view, undefined)
    await source.close()
  }
})

t.test('where nothing can be written, the source counts all the same', async (t) => {
  const path = join(t.testdir(), 'no', 'such', 'folder', 'view.json')
  await leave(path)
  t.notOk(existsSync(path))
})

t.test('what changes later is kept a little later, however many nodes there are; on close, the newest', async (t) => {
  const path = join(t.testdir(), 'view.json')
  const viewOf = (count: number): ClusterView => ({
    nodes: new Map(Array.from({ length: count }, (_, i) => [`pi-${i}`, node(`pi-${i}`, `10.42.${i}.0/24`)] as const)),
  })
  const { told, source, start } = keptAt(path)
  told.joined.resolve(CIDRS)
  await source.join(() => {})
  start()
  await turn()
  const kept = () => [...(new KeptView(path, 'here', log).read()?.nodes.keys() ?? [])]
  told.onChange?.({ view: viewOf(1), problems: [] })
  t.same(kept(), ['pi-0'], 'the first one at once')
  for (const count of [100, 101, 250]) {
    told.onChange?.({ view: viewOf(2), problems: [] })
    told.onChange?.({ view: viewOf(count), problems: [] })
    await until('it is kept', () => kept().length === count)
    t.same(kept(), [...viewOf(count).nodes.keys()])
    t.equal(statSync(path).mode & 0o777, 0o600)
  }
  told.onChange?.({ view: viewOf(120), problems: [] })
  await source.close()
  t.equal(kept().length, 120)
})
