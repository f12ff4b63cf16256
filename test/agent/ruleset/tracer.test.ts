import t from 'tap'
import { type Packet, trace } from './tracer.ts'
import { Ruleset } from './tracer-tables.ts'

/** That it reads what it reads as the kernel does is shown in test/kernel/policy-tracer.test.ts; here is what it refuses. */

const TABLE = `table inet sample {
  counter seen { }
  set pods { type ipv4_addr; elements = { 10.42.1.2 } }
  map entry { type ipv4_addr : verdict; elements = { 10.42.1.2 : jump in-a } }
  chain in-a { ip saddr @pods counter name "seen" return
    drop comment "the rest" }
  chain forward { type filter hook forward priority filter - 5; policy accept;
    ip daddr vmap @entry
  }
}`

const PACKET: Packet = {
  source: '10.42.1.3',
  destination: '10.42.1.2',
  protocol: 'tcp',
  destinationPort: 80,
  iifname: 'eth0',
  iifgroup: 0,
  etherSource: '02:42:00:00:00:01',
  ctState: 'new',
}

function ruleset(...transactions: string[]): Ruleset {
  const made = new Ruleset()
  for (const text of [TABLE, ...transactions]) made.apply(text)
  return made
}

t.test('a packet is carried through, and it is told by which rules', async (t) => {
  t.same(trace(ruleset(), PACKET), { passes: false, path: ['', 'the rest'], counted: [], logged: [] })
  t.match(trace(ruleset(), { ...PACKET, source: '10.42.1.2' }), { passes: true, counted: ['seen'] })
  t.match(trace(ruleset('add element inet sample pods { 10.42.1.3 }'), PACKET), { passes: true })
})

t.test('what it does not know it refuses, wherever it stands', async (t) => {
  const unknown = [
    'add rule inet sample forward ip ttl 1 drop',
    'add rule inet sample forward tcp flags syn drop',
    'add rule inet sample forward masquerade',
    'add rule inet sample forward reject',
    'add rule inet sample forward limit rate 1/second drop',
    'add rule inet sample forward drop counter',
    'add set inet sample more { type ipv4_addr; flags timeout; }',
    'add set inet sample more { typeof ip saddr; }',
    'add chain inet sample more { type nat hook output priority 0; policy accept; }',
    'add flowtable inet sample more',
    'reset counters',
    'table inet sample { chain more { udp dport http drop } }',
    'add element inet sample pods { fd42::1 }',
    'add element inet sample pods { 10.42.1.0/24 }',
    'add element inet sample pods { 10.42.1.300 }',
  ]
  for (const text of unknown) t.throws(() => ruleset(text), { code: 'TRACER' }, text)
})

t.test('what the kernel refuses of names it refuses, and then nothing has changed', async (t) => {
  const refused = [
    'delete set inet sample pods',
    'delete chain inet sample in-a',
    'delete counter inet sample seen',
    'delete element inet sample pods { 10.42.1.9 }',
    'delete set inet sample absent',
    'add rule inet sample absent drop',
    'add rule inet sample forward ip saddr @absent drop',
    'add rule inet sample forward counter name "absent"',
    'add rule inet sample forward jump absent',
    'add element inet sample entry { 10.42.1.3 : jump absent }',
    'add element inet sample entry { 10.42.1.2 : drop }',
    'add set inet sample pods { type ipv6_addr; }',
    'add set inet sample nets { type ipv4_addr; flags interval; elements = { 10.42.0.0/16, 10.42.1.0/24 } }',
  ]
  for (const text of refused) {
    const made = ruleset()
    const before = made.contents
    t.throws(() => made.apply(`add set inet sample first { type ipv4_addr; }\n${text}`), { code: 'TRACER' }, text)
    t.same(made.contents, before)
  }
})

t.test('in one transaction what refers goes before what it refers to', async (t) => {
  const made = ruleset(
    [
      'delete element inet sample entry { 10.42.1.2 }',
      'delete chain inet sample in-a',
      'delete set inet sample pods',
      'delete counter inet sample seen',
    ].join('\n'),
  )
  t.match(trace(made, PACKET), { passes: true })
  t.equal(made.contents.length, 2)
})

t.test('what it would have to guess of a packet it does not', async (t) => {
  const made = ruleset('add rule inet sample forward oifname "eth0" drop')
  t.throws(() => trace(made, { ...PACKET, destination: '10.42.1.9' }), { code: 'TRACER' })
})
