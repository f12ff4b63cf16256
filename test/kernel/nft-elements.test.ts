import t from 'tap'
import type { ElementChange } from '../../agent/kernel/nft-elements.ts'
import { Nftables } from '../../agent/kernel/nftables.ts'
import { watchNftables } from '../../agent/kernel/nftables-events.ts'
import { until } from './agent.ts'
import { enterScratchNode, run } from './scratch.ts'

await enterScratchNode()
const nft = Nftables.load()
t.after(() => nft.close())

const TABLE = 'inet bramble-test'
const SETS = {
  addresses: ['ipv4_addr', '10.42.0.5'],
  'addresses-6': ['ipv6_addr', 'fd42::5'],
  self: ['ipv4_addr . ipv4_addr', '10.42.0.5 . 10.42.0.5'],
  ports: ['ipv4_addr . inet_proto . inet_service', '10.42.0.5 . 132 . 38412'],
  'ports-6': ['ipv6_addr . inet_proto . inet_service', 'fd42::5 . 17 . 53'],
  links: ['ifname . ether_addr . ipv4_addr', 'brm0123456789ab . 02:1f:00:00:00:05 . 10.42.0.5'],
  'links-6': ['ifname . ether_addr . ipv6_addr', 'brm0123456789ab . 02:1f:00:00:00:05 . fd42::5'],
} as const

const list = (kind: 'set' | 'map', name: string) => run('nft', '-nn', 'list', kind, ...TABLE.split(' '), name)
const change = (verb: ElementChange['verb'], set: string, type: string, ...keys: string[]): ElementChange => ({
  verb,
  set,
  type,
  elements: keys.map((key) => [key, set === 'verdicts' && verb === 'add' ? 'one' : '']),
})

t.beforeEach(async () => {
  await run('nft', 'flush', 'ruleset')
  const sets = Object.entries(SETS).map(([name, [type]]) => `add set ${TABLE} ${name} { type ${type}; }`)
  const map = [`add chain ${TABLE} one`, `add map ${TABLE} verdicts { type ipv4_addr : verdict; }`]
  await nft.run([`add table ${TABLE}`, ...sets, ...map].join('\n'))
})

t.test('elements of every type are what nft prints of them, and gone when they are deleted', async (t) => {
  const all = (verb: ElementChange['verb']) =>
    Object.entries(SETS).map(([name, [type, key]]) => change(verb, name, type, key))
  await nft.changeElements(TABLE, all('add'))
  for (const [name, [, key]] of Object.entries(SETS)) {
    const printed = (await list('set', name)).replaceAll('"', '')
    t.match(printed, `elements = { ${key} }`, name)
  }
  await nft.changeElements(TABLE, all('delete'))
  for (const name of Object.keys(SETS)) t.notMatch(await list('set', name), 'elements', name)
})

t.test('what nft has added can be deleted, and the other way round', async (t) => {
  const [type, key] = SETS.links
  await nft.run(`add element ${TABLE} links { "brm0123456789ab" . 02:1f:00:00:00:05 . 10.42.0.5 }`)
  await nft.changeElements(TABLE, [change('delete', 'links', type, key)])
  await nft.changeElements(TABLE, [change('add', 'links', type, key)])
  await nft.run(`delete element ${TABLE} links { "brm0123456789ab" . 02:1f:00:00:00:05 . 10.42.0.5 }`)
  t.notMatch(await list('set', 'links'), 'elements')
})

t.test('an element of a map leads to a chain; another one takes its place in one change', async (t) => {
  await nft.changeElements(TABLE, [change('add', 'verdicts', 'ipv4_addr', '10.42.0.5', '10.42.0.6')])
  t.match(await list('map', 'verdicts'), /10\.42\.0\.5 : jump one/)
  await nft.run(`add chain ${TABLE} other`)
  await nft.changeElements(TABLE, [
    change('delete', 'verdicts', 'ipv4_addr', '10.42.0.5'),
    { verb: 'add', set: 'verdicts', type: 'ipv4_addr', elements: [['10.42.0.5', 'other']] },
  ])
  t.match(await list('map', 'verdicts'), /10\.42\.0\.5 : jump other/)
})

t.test('adding what is there changes nothing; thousands go in one change', async (t) => {
  const many = Array.from({ length: 1_000 }, (_, i) => `10.43.${i >> 8}.${i & 255}`)
  for (let time = 0; time < 2; time++)
    await nft.changeElements(TABLE, [change('add', 'addresses', 'ipv4_addr', ...many)])
  t.equal((await list('set', 'addresses')).match(/10\.43\./g)?.length, many.length)
})

t.test('all changes are made or none, and what was refused is named', async (t) => {
  const refused = nft.changeElements(TABLE, [
    change('add', 'addresses', 'ipv4_addr', '10.42.0.5'),
    change('delete', 'verdicts', 'ipv4_addr', '10.42.0.9'),
    change('add', 'self', 'ipv4_addr . ipv4_addr', '10.42.0.5 . 10.42.0.5'),
  ])
  await t.rejects(refused, {
    code: 'NFTABLES',
    errno: 'ENOENT',
    message: `nft delete element ${TABLE} verdicts: ENOENT`,
  })
  t.notMatch(await list('set', 'addresses'), 'elements')
  t.notMatch(await list('set', 'self'), 'elements')
  await t.rejects(nft.changeElements(`${TABLE}-2`, [change('add', 'addresses', 'ipv4_addr', '10.42.0.5')]), {
    code: 'NFTABLES',
    errno: 'ENOENT',
  })
})

t.test('a key that is not of the type is told before anything is sent', async (t) => {
  t.throws(() => nft.changeElements(TABLE, [change('add', 'self', 'ipv4_addr . ipv4_addr', '10.42.0.5')]), {
    message: '10.42.0.5 is no ipv4_addr . ipv4_addr',
  })
  t.throws(() => nft.changeElements(TABLE, [change('add', 'marks', 'mark', '1')]), RangeError)
})

t.test('it waits for what the library does, and is known as our own change', async (t) => {
  let foreign = 0
  const events = watchNftables(
    (port) => nft.isOurs(port),
    () => foreign++,
  )
  t.teardown(() => events.close())
  const many = Array.from({ length: 20_000 }, (_, i) => `10.${i >> 8}.${i & 255}.0`)
  const loaded = nft.run(`add set ${TABLE} late { type ipv4_addr; elements = { ${many.join(', ')} }; }`)
  await Promise.all([loaded, nft.changeElements(TABLE, [change('add', 'late', 'ipv4_addr', '192.0.2.1')])])
  t.match(await list('set', 'late'), '192.0.2.1')
  t.equal(foreign, 0)
  await run('nft', 'add', 'table', 'inet', 'somebody')
  await until('the change of another program is heard of', () => foreign === 1)
})
