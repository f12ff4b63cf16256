import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { breaches } from './imports.ts'

const PACKAGE = { dependencies: { 'ip-num': '1', netlink: '1', koffi: '1', yargs: '1' }, devDependencies: { tap: '1' } }

/** A small project: sources by their path; files that are only imported are made empty. */
function project(t: Test, sources: Readonly<Record<string, string>>): string {
  const root = t.testdir({ 'package.json': JSON.stringify(PACKAGE) })
  const write = (path: string, source: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), source)
  }
  for (const [path, source] of Object.entries(sources)) write(path, source)
  return root
}

/** The breaches of one file that imports one other, which is there. */
function breachesOf(t: Test, from: string, statement: string, to?: string): string[] {
  return breaches(project(t, { ...(to && { [to]: '' }), [from]: `${statement}\n` }))
}

t.test('this project breaks no rule', async (t) => {
  t.same(breaches(fileURLToPath(new URL('..', import.meta.url))), [])
})

t.test('what the design allows is no breach', async (t) => {
  const allowed: [string, string, string][] = [
    ['bin/bramble-agent.ts', "const { main } = await import('../agent/main.ts')", 'agent/main.ts'],
    ['bin/bramblectl.ts', "import { main } from '../ctl/main.ts'", 'ctl/main.ts'],
    ['ctl/ask.ts', "import { decodeAnswer } from '../plugin/frame.ts'", 'plugin/frame.ts'],
    ['ctl/ask.ts', "import type { Status } from '../agent/api/control.ts'", 'agent/api/control.ts'],
    ['agent/main.ts', "import { ApiServer } from './api/server.ts'", 'agent/api/server.ts'],
    ['agent/pods/add.ts', "import { openNetns } from '../kernel/netns.ts'", 'agent/kernel/netns.ts'],
    ['agent/kernel/routes.ts', "import type { Netlink } from './netlink.ts'", 'agent/kernel/netlink.ts'],
    ['agent/pods/attachment.ts', "import { RT_TABLE_MAIN } from '../kernel/routes.ts'", 'agent/kernel/routes.ts'],
    ['agent/pods/compare.ts', "import type { Sysctl } from '../kernel/sysctl.ts'", 'agent/kernel/sysctl.ts'],
    ['ipam/freed-log.ts', "import { appendFileSync } from 'node:fs'", 'ipam/pool.ts'],
    ['ipam/address.ts', "import { IPv4 } from 'ip-num'", 'ipam/pool.ts'],
    ['agent/kernel/libc.ts', "import koffi from 'koffi'", 'agent/kernel/mac.ts'],
    ['agent/kernel/netlink.ts', "import { Raw } from 'netlink/dist/raw.js'", 'agent/kernel/mac.ts'],
    ['test/kernel/scratch.ts', "import { bind } from '../../agent/kernel/libc.ts'", 'agent/kernel/libc.ts'],
    ['test/a.test.ts', "import t from 'tap'", 'test/b.ts'],
  ]
  for (const [from, statement, to] of allowed) t.same(breachesOf(t, from, statement, to), [], `${from}: ${statement}`)
})

t.test('an arrow that points outward is a breach, with file, line and what may be reached', async (t) => {
  t.same(breachesOf(t, 'ipam/pool.ts', "\nimport { options } from '../agent/options.ts'", 'agent/options.ts'), [
    'ipam/pool.ts:2: imports agent/options.ts; it may reach ipam/',
    'ipam/pool.ts:2: is pure and imports agent/options.ts, which is not',
  ])
  const outward: [string, string, string][] = [
    ['plugin/frame.ts', "import { pool } from '../ipam/pool.ts'", 'ipam/pool.ts'],
    ['ipam/freed-log.ts', "import { frame } from '../plugin/frame.ts'", 'plugin/frame.ts'],
    ['ctl/main.ts', "import { pool } from '../ipam/pool.ts'", 'ipam/pool.ts'],
    ['ctl/main.ts', "import { listLinks } from '../agent/kernel/links.ts'", 'agent/kernel/links.ts'],
    ['agent/kernel/netns.ts', "import { addPod } from '../pods/add.ts'", 'agent/pods/add.ts'],
    ['agent/kernel/netns.ts', "import type { PodNetwork } from '../pods/network.ts'", 'agent/pods/network.ts'],
    ['agent/kernel/netns.ts', "import { ApiServer } from '../api/server.ts'", 'agent/api/server.ts'],
    ['agent/kernel/netns.ts', "import { CniError } from '../../plugin/errors.ts'", 'plugin/errors.ts'],
    ['agent/pods/add.ts', "import { ApiServer } from '../api/server.ts'", 'agent/api/server.ts'],
    ['agent/pods/add.ts', "import { main } from '../main.ts'", 'agent/main.ts'],
    ['agent/options.ts', "import { addPod } from './pods/add.ts'", 'agent/pods/add.ts'],
    ['agent/main.ts', "import { ask } from '../ctl/ask.ts'", 'ctl/ask.ts'],
    ['agent/pods/add.ts', "import { run } from '../../test/run.ts'", 'test/run.ts'],
    ['bin/bramblectl.ts', "import { pool } from '../ipam/pool.ts'", 'ipam/pool.ts'],
  ]
  for (const [from, statement, to] of outward)
    t.match(breachesOf(t, from, statement, to)[0], `${from}:1: imports ${to}; it may reach `, statement)
})

t.test('bramblectl may know the types of the api, and no more', async (t) => {
  t.match(breachesOf(t, 'ctl/main.ts', "import { status } from '../agent/api/control.ts'", 'agent/api/control.ts'), [
    /its types alone may be imported$/,
  ])
  // Node removes the names, and loads the file all the same.
  t.equal(
    breachesOf(t, 'ctl/main.ts', "import { type A } from '../agent/api/control.ts'", 'agent/api/control.ts').length,
    1,
  )
})

t.test('only the kernel folder imports netlink and koffi', async (t) => {
  for (const from of ['agent/lock.ts', 'agent/pods/add.ts', 'test/kernel/scratch.ts', 'bench/run.ts'])
    t.same(breachesOf(t, from, "import koffi from 'koffi'"), [`${from}:1: imports koffi; only agent/kernel/ may`])
  t.match(breachesOf(t, 'ctl/main.ts', "import { Raw } from 'netlink/dist/raw.js'"), [
    /imports netlink; only agent\/kernel\/ may$/,
  ])
})

t.test('what is pure imports nothing that is not, but by its type', async (t) => {
  const impure: [string, string, string?][] = [
    ['plugin/request.ts', "import { readFileSync } from 'node:fs'"],
    ['plugin/result.ts', "import { readFileSync } from 'fs'"],
    ['ipam/pool.ts', "import { appendFileSync } from 'node:fs'"],
    ['ipam/pool.ts', "import { FreedLog } from './freed-log.ts'", 'ipam/freed-log.ts'],
    ['agent/reconcile/diff.ts', "import { Netlink } from '../kernel/netlink.ts'", 'agent/kernel/netlink.ts'],
    ['agent/pods/attachment.ts', "import { getSysctl } from '../kernel/sysctl.ts'", 'agent/kernel/sysctl.ts'],
    ['agent/alias.ts', "import { request } from 'node:http'"],
    ['agent/kernel/routes.ts', "import { Netlink } from './netlink.ts'", 'agent/kernel/netlink.ts'],
    ['agent/kernel/mac.ts', "import { bind } from './libc.ts'", 'agent/kernel/libc.ts'],
    ['agent/ownership.ts', "import yargs from 'yargs'"],
    ['agent/desired/routes.ts', "import { hostname } from 'node:os'"],
    ['agent/desired/routes.ts', "import { version } from '../version.ts'", 'agent/version.ts'],
  ]
  for (const [from, statement, to] of impure)
    t.match(breachesOf(t, from, statement, to).at(-1), new RegExp(`^${from}:1: is pure and imports .*, which is not$`))
})

t.test('every package is among the dependencies; those of development are for tests', async (t) => {
  t.same(breachesOf(t, 'agent/options.ts', "import _ from 'lodash'"), [
    'agent/options.ts:1: imports lodash, which is not among the dependencies in package.json',
  ])
  t.equal(breachesOf(t, 'agent/options.ts', "import { x } from '@scope/name/part'").length, 1)
  t.equal(breachesOf(t, 'agent/options.ts', "import t from 'tap'").length, 1)
  t.equal(breachesOf(t, 'bench/run.ts', "import _ from 'lodash'").length, 1)
})

t.test('a file that is not there is a breach', async (t) => {
  t.same(breachesOf(t, 'test/a.ts', "import { b } from './b.ts'"), [
    'test/a.ts:1: imports test/b.ts, which is not there',
  ])
})

t.test('a circle is a breach, though it be of types', async (t) => {
  const root = project(t, {
    'ipam/a.ts': "import { b } from './b.ts'\n",
    'ipam/b.ts': "import type { C } from './c.ts'\n",
    'ipam/c.ts': "export { a } from './a.ts'\n",
    'ipam/d.ts': "import { a } from './a.ts'\n",
  })
  t.same(breaches(root), ['import in a circle: ipam/a.ts -> ipam/b.ts -> ipam/c.ts -> ipam/a.ts'])
})

t.test('imports are found in every form', async (t) => {
  for (const statement of [
    "import 'lodash'",
    "import _ from 'lodash'",
    'import _ from "lodash"',
    "import * as _ from 'lodash'",
    "import _, { map } from 'lodash'",
    "import {\n  map,\n  type Map,\n} from 'lodash'",
    "import type { Map } from 'lodash'",
    "export * from 'lodash'",
    "export { map } from 'lodash'",
    "export type { Map } from 'lodash'",
    "const yaml = await import('yaml')",
    "import { map } from 'lodash/fp/map.js'",
  ])
    t.equal(breachesOf(t, 'agent/options.ts', statement).length, 1, statement)
})

t.test('what only looks like an import is none', async (t) => {
  const text = [
    "// import _ from 'lodash'",
    " * import _ from 'lodash'",
    "export const from = 'lodash'",
    "export const text = `\n  import _ from 'lodash'`",
  ].join('\n')
  t.same(breachesOf(t, 'agent/options.ts', text), [])
})

t.test('the script prints a line for each breach and ends with 1, or with 0', async (t) => {
  const script = fileURLToPath(new URL('imports.ts', import.meta.url))
  const run = (root: string) => spawnSync(process.execPath, [script, root], { encoding: 'utf8', timeout: 20_000 })
  const bad = run(project(t, { 'agent/a.ts': "import koffi from 'koffi'\nimport _ from 'lodash'\n" }))
  t.equal(bad.status, 1)
  t.equal(
    bad.stdout,
    'agent/a.ts:1: imports koffi; only agent/kernel/ may\nagent/a.ts:2: imports lodash, which is not among the dependencies in package.json\n',
  )
  const good = run(project(t, { 'agent/a.ts': '' }))
  t.same([good.status, good.stdout, good.stderr], [0, '', ''])
})
