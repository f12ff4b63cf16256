import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Request } from '../../plugin/frame.ts'
import { agent, run, shortDir } from './tool.ts'

const PREVIEW = {
  changes: [],
  others: [],
  problems: [],
  differences: [],
  moreDifferences: 0,
  alike: [],
  pairs: { compared: 0, all: 0 },
}
const policy = (name: string) => ({ kind: 'NetworkPolicy', metadata: { name } })

t.test('explain: exit code 0 for what is allowed, 3 for what is denied', async (t) => {
  const explanation = (isAllowed: boolean) => ({ from: {}, to: {}, isAllowed, cases: [] })
  const heard: Request[] = []
  const [open, closed] = await Promise.all([
    agent(t, { 'policy explain': explanation(true) }, { heard }),
    agent(t, { 'policy explain': explanation(false) }),
  ])
  const line = (socket: string) => ['policy', 'explain', 'shop/web', '[fd42::7]:53/udp', '--socket', socket]
  const ends = await Promise.all([run(line(open)), run(line(closed)), run([...line(closed), '-o', 'json'])])
  t.same(
    ends.map(({ exitCode }) => exitCode),
    [0, 3, 3],
  )
  t.match(heard, [{ env: { FROM: 'pod shop/web', TO: 'address fd42::7', PORT: '53', PROTOCOL: 'UDP' } }])
})

t.test('show: of all, or of one pod', async (t) => {
  const heard: Request[] = []
  const socket = await agent(t, { 'policy show': { mode: 'default', policies: [], problems: [] } }, { heard })
  await run(['policy', 'show', '--socket', socket])
  await run(['policy', 'show', 'shop/web', '--socket', socket])
  t.same(
    heard.map(({ env }) => ({ ...env })),
    [{}, { POD: 'shop/web' }],
  )
})

t.test('preview: all documents of a file go to the agent as JSON, those of a List one by one', async (t) => {
  const heard: Request[] = []
  const socket = await agent(t, { 'policy preview': PREVIEW }, { heard })
  const file = join(shortDir(t), 'new.yaml')
  const list = { kind: 'NetworkPolicyList', items: [policy('b'), policy('c')] }
  writeFileSync(file, `kind: NetworkPolicy\nmetadata: { name: a }\n---\n---\n${JSON.stringify(list)}\n`)
  const { exitCode, stderr } = await run(['policy', 'preview', '-f', file, '--flows', '--socket', socket])
  t.equal(exitCode, 0, stderr)
  const fromStdin = ['policy', 'preview', '-f', '-', '--delete', '--socket', socket]
  t.equal((await run(fromStdin, {}, JSON.stringify(policy('d')))).exitCode, 0)
  t.same(
    heard.map(({ env, body }) => [{ ...env }, ...body.toString().split('\n')]),
    [
      [{ FLOWS: '1', DELETE: '0' }, 'policy preview', JSON.stringify(['a', 'b', 'c'].map(policy))],
      [{ FLOWS: '0', DELETE: '1' }, 'policy preview', JSON.stringify([policy('d')])],
    ],
  )
})

t.test('preview: a file that cannot be used is one line that names it, and exit code 1', async (t) => {
  const dir = shortDir(t)
  const bomb = [
    'a: &a [x]',
    ...Array.from('bcdefgh', (name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefg'[i]}`)}]`),
  ]
  const files = {
    'broken.yaml': 'a: [',
    'empty.yaml': '---\n',
    'large.yaml': JSON.stringify({ kind: 'x'.repeat(1024 * 1024) }),
    'bomb.yaml': bomb.join('\n'),
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text)
  for (const [name, words] of [
    ['broken.yaml', 'broken.yaml: '],
    ['empty.yaml', 'has no objects in it'],
    ['large.yaml', 'bytes of objects; at most 1047552 are taken: preview some of them at a time'],
    ['bomb.yaml', 'Excessive alias count'],
    ['none.yaml', 'none.yaml cannot be read: ENOENT'],
  ] as const) {
    const { exitCode, stdout, stderr } = await run(['policy', 'preview', '-f', join(dir, name), '--socket', '/none'])
    t.equal(exitCode, 1, name)
    t.equal(stdout, '')
    t.match(stderr, words)
    t.equal(stderr.trim().split('\n').length, 1)
  }
})

t.test('matrix: as text, as JSON, as a page', async (t) => {
  const matrix = { namespace: 'shop', ends: [], cells: [], leftOut: 0 }
  const heard: Request[] = []
  const socket = await agent(t, { 'policy matrix': matrix }, { heard })
  const line = ['policy', 'matrix', '-n', 'shop', '--port', 'http', '--socket', socket]
  const [text, json, html] = await Promise.all(['text', 'json', 'html'].map((output) => run([...line, '-o', output])))
  t.match(text?.stdout, /^namespace shop: /)
  t.same(JSON.parse(json?.stdout ?? ''), matrix)
  t.match(html?.stdout, /^<!DOCTYPE html>/)
  t.match(heard[0]?.env, { NAMESPACE: 'shop', PORT: 'http', PROTOCOL: 'TCP' })
})

t.test('a wrong command line is one line, and exit code 2', async (t) => {
  const wrong: [string[], string][] = [
    [['explain', 'shop/web'], 'policy explain needs SRC DST[:PORT/PROTO]'],
    [
      ['explain', 'web', 'world'],
      '"web" is no pod, node or address: write NAMESPACE/POD, node/NAME, an address, or world',
    ],
    [['show', 'world'], '"world" is no pod: write NAMESPACE/POD'],
    [['preview'], 'policy preview needs -f FILE'],
    [['matrix'], 'policy matrix needs -n NAMESPACE'],
    [['matrix', '-n', 'A B'], '"A B" is no namespace: small letters, digits and "-" are expected'],
    [['matrix', '-n', 'a', '-n', 'b'], '--namespace is given more than once'],
    [['show', '-f', 'x'], 'policy show has no --file'],
  ]
  const ends = await Promise.all(wrong.map(([args]) => run(['policy', ...args])))
  for (const [index, [, message]] of wrong.entries())
    t.same(ends[index], { exitCode: 2, stdout: '', stderr: `bramblectl: ${message}\n` })
})
