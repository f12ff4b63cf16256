import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { ManifestFolder } from '../../../../agent/cluster/local/source.ts'
import type { ViewChange } from '../../../../agent/cluster/view.ts'
import { parseAll } from '../../../../agent/cluster/yaml.ts'
import { until } from '../kubernetes/until.ts'

t.setTimeout(120_000)

/** A folder, its source, and all that was told. */
class Folder {
  readonly path: string
  readonly changes: ViewChange[] = []
  /** All that was parsed. */
  readonly texts: string[] = []
  readonly source: ManifestFolder

  constructor(t: Test, lookEveryMs?: number) {
    this.path = join(mkdtempSync(join(tmpdir(), 'bramble-manifests-')), 'nodes')
    const parse = (text: string) => {
      this.texts.push(text)
      return parseAll(text)
    }
    this.source = new ManifestFolder(this.path, [], parse, lookEveryMs)
    t.teardown(async () => {
      await this.source.close()
      rmSync(join(this.path, '..'), { recursive: true })
    })
  }

  make(): this {
    mkdirSync(this.path)
    return this
  }

  write(name: string, ...nodes: [name: string, address: string][]): void {
    const documents = nodes.map(
      ([node, address]) =>
        `apiVersion: v1\nkind: Node\nmetadata: { name: ${node} }\nstatus: { addresses: [ { type: InternalIP, address: ${address} } ] }\n`,
    )
    writeFileSync(join(this.path, name), documents.join('---\n'))
  }

  start(): this {
    this.source.start((change) => this.changes.push(change))
    return this
  }

  get addresses(): Record<string, string | undefined> {
    const { nodes = new Map() } = this.changes.at(-1)?.view ?? {}
    return Object.fromEntries([...nodes.values()].map(({ name, addresses }) => [name, addresses[0]]))
  }
}

t.test('what came, went or changed is told by name, and the rest stays the same object', async (t) => {
  const folder = new Folder(t).make()
  folder.write('a.yaml', ['pi-1', '192.168.1.1'], ['pi-2', '192.168.1.2'])
  folder.write('b.yaml', ['pi-3', '192.168.1.3'])
  folder.start()
  t.strictSame(folder.changes[0]?.changed, new Set(['pi-1', 'pi-2', 'pi-3']))
  const pi1 = folder.changes[0]?.view?.nodes.get('pi-1')

  folder.write('a.yaml', ['pi-1', '192.168.1.1'], ['pi-2', '192.168.1.22'])
  await until('the new address', () => folder.addresses['pi-2'] === '192.168.1.22')
  t.strictSame(folder.changes.at(-1)?.changed, new Set(['pi-2']))
  t.equal(folder.changes.at(-1)?.view?.nodes.get('pi-1'), pi1)

  rmSync(join(folder.path, 'b.yaml'))
  await until('it is gone', () => folder.addresses['pi-3'] === undefined)
  t.strictSame(folder.changes.at(-1)?.changed, new Set(['pi-3']))
})

t.test('a file that says the same after it was written again changes nothing', async (t) => {
  const folder = new Folder(t).make()
  folder.write('a.yaml', ['pi-1', '192.168.1.1'])
  folder.start()
  folder.write('a.yaml', ['pi-1', '192.168.1.1'])
  await until('it has been read again', () => folder.texts.length > 1)
  folder.write('b.yaml', ['pi-2', '192.168.1.2'])
  await until('the other one', () => folder.changes.length > 1)
  t.strictSame(folder.changes[1]?.changed, new Set(['pi-2']))
})

t.test('a file is read again only when it has changed, however it keeps its size and its date', async (t) => {
  const folder = new Folder(t).make()
  folder.write('a.yaml', ['pi-1', '192.168.1.1'])
  folder.write('b.yaml', ['pi-2', '192.168.1.2'])
  const { atime, mtime } = statSync(join(folder.path, 'a.yaml'))
  folder.start()
  await sleep(3_100) // until they are no longer fresh
  folder.write('c.yaml', ['pi-3', '192.168.1.3'])
  await until('the third', () => folder.addresses['pi-3'] === '192.168.1.3')
  const readsOfOther = () => folder.texts.filter((text) => text.includes('pi-2')).length
  const before = readsOfOther()

  folder.write('.new', ['pi-1', '192.168.1.9'])
  utimesSync(join(folder.path, '.new'), atime, mtime)
  renameSync(join(folder.path, '.new'), join(folder.path, 'a.yaml'))
  await until('the new address', () => folder.addresses['pi-1'] === '192.168.1.9')
  folder.write('a.yaml', ['pi-1', '192.168.1.7'])
  utimesSync(join(folder.path, 'a.yaml'), atime, mtime)
  await until('the newest address', () => folder.addresses['pi-1'] === '192.168.1.7')
  t.strictSame(folder.addresses, { 'pi-1': '192.168.1.7', 'pi-2': '192.168.1.2', 'pi-3': '192.168.1.3' })
  t.equal(readsOfOther(), before, 'the other one was not read again')
})

t.test('what cannot be read is named, and what it said before stays in force', async (t) => {
  const folder = new Folder(t).make()
  folder.write('a.yaml', ['pi-1', '192.168.1.1'])
  folder.write('b.yaml', ['pi-1', '192.168.1.2'])
  folder.start()
  const twice = { object: 'b.yaml', reason: 'Node pi-1 is in a.yaml already, which counts; remove one of them' }
  t.strictSame(folder.changes.at(-1)?.problems, [twice])

  writeFileSync(join(folder.path, 'a.yaml'), '')
  await until('a problem', () => folder.changes.at(-1)?.problems.length === 2)
  t.match(folder.changes.at(-1), {
    changed: new Set(),
    problems: [{ object: 'a.yaml', reason: /^is empty; .*; what it said before stays in force$/ }, twice],
  })
  t.strictSame(folder.addresses, { 'pi-1': '192.168.1.1' })

  folder.write('a.yaml', ['pi-5', '192.168.1.5'])
  await until('all is well', () => folder.changes.at(-1)?.problems.length === 0)
  t.strictSame(folder.addresses, { 'pi-5': '192.168.1.5', 'pi-1': '192.168.1.2' })
})

t.test(
  'a file that comes later does not take a node away from the one that has it, whatever their names',
  async (t) => {
    const folder = new Folder(t).make()
    folder.write('m.yaml', ['pi-1', '192.168.1.1'])
    folder.start()
    folder.write('a.yaml', ['pi-1', '192.168.1.66'])
    await until('it is told', () => folder.changes.at(-1)?.problems.length === 1)
    t.match(folder.changes.at(-1)?.problems, [{ object: 'a.yaml', reason: /is in m\.yaml already, which counts/ }])
    t.strictSame(folder.addresses, { 'pi-1': '192.168.1.1' })
    rmSync(join(folder.path, 'm.yaml'))
    await until('it counts now', () => folder.addresses['pi-1'] === '192.168.1.66')
    t.strictSame(folder.changes.at(-1)?.problems, [])
  },
)

t.test('there is no view before the folder is there; when it goes, the last one stays', async (t) => {
  const folder = new Folder(t).start()
  t.match(folder.changes, [
    { view: undefined, problems: [{ object: folder.path, reason: 'cannot be read: ENOENT; waiting for it' }] },
  ])
  folder.make().write('a.yaml', ['pi-1', '192.168.1.1'])
  await until('a view', () => folder.addresses['pi-1'] === '192.168.1.1')
  t.strictSame(folder.changes.at(-1)?.problems, [])
  rmSync(folder.path, { recursive: true })
  await until('a problem', () => folder.changes.at(-1)?.problems.length === 1)
  t.strictSame(folder.addresses, { 'pi-1': '192.168.1.1' })
})

t.test('a folder that is put in the place of another one is heard as that was', async (t) => {
  const folder = new Folder(t, 3_600_000).make()
  folder.write('a.yaml', ['pi-1', '192.168.1.1'])
  folder.start()
  mkdirSync(`${folder.path}.new`)
  folder.write('../nodes.new/a.yaml', ['pi-1', '192.168.1.2'])
  renameSync(folder.path, `${folder.path}.old`)
  renameSync(`${folder.path}.new`, folder.path)
  await until('what the new one says', () => folder.addresses['pi-1'] === '192.168.1.2')
  folder.write('a.yaml', ['pi-1', '192.168.1.3'])
  await until('what changes in it', () => folder.addresses['pi-1'] === '192.168.1.3')
})

t.test('what is no file is named, and nobody waits for it', async (t) => {
  const folder = new Folder(t).make()
  folder.write('a.yaml', ['pi-1', '192.168.1.1'])
  mkdirSync(join(folder.path, 'b.yaml'))
  execFileSync('mkfifo', [join(folder.path, 'c.yaml')])
  folder.start()
  t.strictSame(folder.addresses, { 'pi-1': '192.168.1.1' })
  t.strictSame(
    folder.changes.at(-1)?.problems,
    ['b.yaml', 'c.yaml'].map((object) => ({ object, reason: 'is no file' })),
  )
})

t.test('what is too large to be read is named, and nobody waits for it', async (t) => {
  const folder = new Folder(t).make()
  folder.write('a.yaml', ['pi-1', '192.168.1.1'])
  writeFileSync(join(folder.path, 'half.json'), '['.repeat(5_000_000)) // no JSON, and so read as YAML, for minutes
  writeFileSync(join(folder.path, 'huge.json'), '')
  truncateSync(join(folder.path, 'huge.json'), 1024 ** 3)
  const many = Array.from(
    { length: 5_000 },
    (_, index) => `---\n{apiVersion: v1, kind: Node, metadata: {name: x-${index}}}\n`,
  )
  writeFileSync(join(folder.path, 'many.yaml'), `${many.join('')}# ${'-'.repeat(1_500_000)}\n`)
  folder.start()
  t.equal(folder.addresses['pi-1'], '192.168.1.1')
  t.equal(Object.keys(folder.addresses).length, 5_001)
  t.match(folder.changes.at(-1)?.problems, [
    { object: 'half.json', reason: /it is no JSON, and longer than the 1048576 characters that YAML may have; write / },
    { object: 'huge.json', reason: 'is larger than 67108864 bytes; write several files' },
  ])
})
