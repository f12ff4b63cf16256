import t from 'tap'
import { Nftables } from '../../agent/kernel/nftables.ts'
import { isNoSuchObject, type NftablesError } from '../../agent/kernel/nftables-error.ts'
import { watchNftables, watchTables } from '../../agent/kernel/nftables-events.ts'
import { until } from './agent.ts'
import { enterScratchNode, run } from './scratch.ts'

await enterScratchNode()
const nft = Nftables.load()
t.after(() => nft.close())

const TABLE = 'inet bramble-test'
const tables = async () => (await run('nft', 'list', 'tables')).split('\n').filter((line) => line !== '')
const elements = async (name: string) => {
  const [{ set }] = (await nft.list(`list set ${TABLE} ${name}`)) as [{ set: { elem?: unknown[] } }]
  return set.elem ?? []
}

t.beforeEach(() => run('nft', 'flush', 'ruleset'))

t.test('a missing library is an error that names the package', async (t) => {
  t.throws(() => Nftables.load('libnftables.so.0'), {
    code: 'NFTABLES',
    message: 'cannot load libnftables.so.0; install the package libnftables1',
  })
})

t.test('run() carries out all of its commands', async (t) => {
  await nft.run(
    `add table ${TABLE}\nadd set ${TABLE} pods { type ipv4_addr; }\nadd element ${TABLE} pods { 10.42.1.0 }`,
  )
  t.same(await tables(), [`table ${TABLE}`])
  t.same(await elements('pods'), ['10.42.1.0'])
})

t.test('run() carries out all of its commands or none, and says which one was refused, and why', async (t) => {
  const commands = [`add table ${TABLE}`, `add rule ${TABLE} postrouting masquerade`, `add table ${TABLE}-2`]
  await t.rejects(nft.run(commands.join('\n')), {
    code: 'NFTABLES',
    errno: 'ENOENT',
    line: commands[1],
    message: `nft: Could not process rule: No such file or directory, in: ${commands[1]}`,
  })
  t.same(await tables(), [])
})

t.test('a refusal has the name of its errno', async (t) => {
  await nft.run(`add table ${TABLE}; add set ${TABLE} pods { type ipv4_addr; }`)
  await t.rejects(nft.run(`create table ${TABLE}`), { code: 'NFTABLES', errno: 'EEXIST' })
  for (const absent of [`delete table ${TABLE}-2`, `delete element ${TABLE} pods { 10.42.1.0 }`]) {
    const error = await nft.run(absent).catch((error: unknown) => error)
    t.ok(isNoSuchObject(error), absent)
  }
})

t.test('what is no command is refused by the library, and has no errno', async (t) => {
  const error = await nft.run(`add table ${TABLE}\nadd nothing at all`).catch((error: unknown) => error)
  t.match(error, {
    errno: undefined,
    line: 'add nothing at all',
    message: /^nft: syntax error, .*, in: add nothing at all$/,
  })
  t.notOk(isNoSuchObject(error))
  t.same(await tables(), [])
})

t.test('of a long line, an error tells the part that is wrong', async (t) => {
  await nft.run(`add table ${TABLE}; add set ${TABLE} pods { type ipv4_addr; }`)
  const many = Array.from({ length: 5_000 }, (_, i) => `10.${i >> 8}.${i & 255}.0`)
  const error = await nft
    .run(`create element ${TABLE} pods { ${[...many, many[4_000]].join(', ')} }`)
    .catch((error: unknown) => error)
  t.match(error, { errno: 'EEXIST' })
  const { line = '' } = error as NftablesError
  t.match(line, /, 10\.\d/)
  t.ok(line.length < 200)
})

t.test('big loads run beside the event loop, in the order in which they were asked for', async (t) => {
  const many = Array.from({ length: 20_000 }, (_, i) => `10.${i >> 8}.${i & 255}.0`)
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  await Promise.all([
    nft.run(`add table ${TABLE}; add set ${TABLE} pods { type ipv4_addr; }`),
    nft.run(`add element ${TABLE} pods { ${many.join(', ')} }`),
    nft.run(`delete element ${TABLE} pods { ${many[0]} }`),
  ])
  clearInterval(timer)
  t.ok(turns > 1, `${turns} turns of the event loop`)
  t.same(new Set((await elements('pods')) as string[]), new Set(many.slice(1)))
})

t.test('a refusal leaves the commands behind it alone', async (t) => {
  const outcomes = await Promise.allSettled([
    nft.run('nonsense'),
    nft.run(`add table ${TABLE}`),
    nft.list(`list chain ${TABLE} absent`),
    nft.run('nonsense'),
    nft.show(`list table ${TABLE}`),
  ])
  t.match(outcomes, [
    { status: 'rejected', reason: { code: 'NFTABLES' } },
    { status: 'fulfilled' },
    { status: 'fulfilled', value: [] },
    { status: 'rejected', reason: { code: 'NFTABLES' } },
    { status: 'fulfilled', value: `table ${TABLE} {\n}\n` },
  ])
})

t.test('what is not there is listed as nothing, in a table that is and in one that is not', async (t) => {
  await nft.run(`add table ${TABLE}`)
  t.same(await nft.list(`list chain ${TABLE} absent`), []) // libnftables 1.1.3 overran a stack of 128 KiB
  await nft.run(`delete table ${TABLE}`)
  t.same(await nft.list(`list set ${TABLE} pods`), [])
  t.equal(await nft.show(`list table ${TABLE}`), '')
})

t.test('show() leaves out elements and counters', async (t) => {
  await nft.run(
    [
      `add table ${TABLE} { flags dormant; }`,
      `add set ${TABLE} pods { type ipv4_addr; elements = { 10.42.1.0 }; }`,
      `add chain ${TABLE} entry { type filter hook input priority 0; }`,
      `add rule ${TABLE} entry counter comment "every packet"`,
    ].join('\n'),
  )
  const text = await nft.show(`list table ${TABLE}`)
  t.match(text, /flags dormant/)
  t.match(text, /counter comment "every packet"/)
  t.notMatch(text, /10\.42\.1\.0|packets/)
})

t.test('a change by another program is an event, one of ours is none', async (t) => {
  let changes = 0
  const events = watchNftables(
    (port) => nft.isOurs(port),
    () => changes++,
  )
  t.teardown(() => events.close())
  await nft.run(`add table ${TABLE}`)
  await run('nft', 'add', 'table', 'inet', 'foreign')
  await until('the foreign table is heard of', async () => changes > 0)
  await nft.run(`delete table ${TABLE}`)
  await nft.run(`add table ${TABLE}; add set ${TABLE} pods { type ipv4_addr; }`)
  await nft.run(`add element ${TABLE} pods { ${Array.from({ length: 1_000 }, (_, i) => `10.1.${i >> 8}.${i & 255}`)} }`)
  t.equal(changes, 1, 'and so far of nothing else')
  await run('nft', 'flush', 'ruleset')
  await until('the flush is heard of', async () => changes > 1)
  t.equal(changes, 2)
})

t.test('one transaction of another program is one event, however much there is in it', async (t) => {
  let changes = 0
  const events = watchNftables(
    (port) => nft.isOurs(port),
    () => changes++,
  )
  t.teardown(() => events.close())
  const other = Nftables.load()
  const many = Array.from({ length: 50_000 }, (_, i) => `10.${i >> 8}.${i & 255}.0`)
  await other.run(`add table inet foreign; add set inet foreign s { type ipv4_addr; elements = { ${many} }; }`)
  await other.run('add table inet last')
  await other.close()
  await until('both are heard of', async () => changes >= 2)
  t.equal(changes, 2)
})

t.test(
  'changes in tables of our name are heard of, whatever is changed, and those in other tables are not',
  async (t) => {
    let changes = 0
    const events = watchTables(
      TABLE.slice(TABLE.indexOf(' ') + 1).slice(0, 4),
      (port) => nft.isOurs(port),
      () => changes++,
    )
    t.teardown(() => events.close())
    await nft.run(`add table ${TABLE}; add set ${TABLE} pods { type ipv4_addr; elements = { 10.42.1.0 }; }`)
    await run('nft', 'add table inet foreign; add set inet foreign pods { type ipv4_addr; elements = { 10.42.1.0 }; }')
    const foreign = (count: number) =>
      Array.from({ length: count }, (_, n) => `add element inet foreign pods { 10.43.0.${n + 1} }`).join('; ')
    for (const harm of [
      `delete element ${TABLE} pods { 10.42.1.0 }`,
      `add element ${TABLE} pods { 10.42.2.0 }`,
      // In one transaction with others: in one datagram, or in the last of many.
      `${foreign(1)}; flush set ${TABLE} pods; ${foreign(2)}`,
      `${foreign(20)}; add element ${TABLE} pods { 10.42.3.0 }; ${foreign(3)}`,
      `${foreign(250)}; add element ${TABLE} pods { 10.42.4.0 }`,
      `add chain ${TABLE} mine`,
      `add rule ${TABLE} mine accept`,
      `delete table ${TABLE}`,
    ]) {
      const before = changes
      await run('nft', harm)
      await until(`"${harm}" is heard of`, async () => changes > before)
    }
    await nft.run(`add table ${TABLE}`)
    const before = changes
    await run('nft', `${foreign(250)}; flush set inet foreign pods`)
    await run('nft', 'delete table inet foreign')
    await run('nft', `add chain ${TABLE} last`)
    await until('the last one is heard of', async () => changes > before)
    t.equal(changes, before + 1, 'and nothing between')
  },
)

t.test('events that are closed by whoever hears the first one ask nothing of the socket that is gone', async (t) => {
  let heard = 0
  const events = watchTables(
    'bram',
    (port) => nft.isOurs(port),
    () => {
      heard++
      events.close()
    },
  )
  await run('nft', `add table ${TABLE}; add chain ${TABLE} closing`)
  await until('it is heard of', async () => heard > 0)
  await new Promise((resolve) => setTimeout(resolve, 50)) // what follows a message follows it at once
  t.ok(heard > 0)
})
