import t from 'tap'
import { parseEnd, parsePod, parsePort, parseTarget } from '../../ctl/policy-ends.ts'

for (const [text, end] of [
  ['shop/web-0', 'pod shop/web-0'],
  ['pod/shop/web-0', 'pod shop/web-0'],
  ['pod/web-0', 'pod default/web-0'],
  ['pod/pod/web-0', 'pod pod/web-0'],
  ['node/pi-1', 'node pi-1'],
  ['pod/node/web-0', 'pod node/web-0'],
  ['world', 'world'],
  ['10.42.0.7', 'address 10.42.0.7'],
  ['fd42::7', 'address fd42::7'],
  ['[fd42::7]', 'address fd42::7'],
] as const)
  t.test(`${text} is ${end}`, async (t) => t.equal(parseEnd(text), end))

for (const text of [
  '',
  'web',
  'shop/',
  '/web',
  'a/b/c',
  'node/a/b',
  'node/',
  'Shop/web',
  'shop/w\u001b',
  '10.42.0',
  'fe80::1%eth0',
])
  t.test(`${JSON.stringify(text)} is no end`, async (t) => t.throws(() => parseEnd(text), { code: 'USAGE' }))

t.test('what is shown is a pod', async (t) => {
  t.equal(parsePod('shop/web-0'), 'shop/web-0')
  t.throws(() => parsePod('world'), { message: '"world" is no pod: write NAMESPACE/POD' })
})

for (const [text, to, port] of [
  ['shop/web', 'pod shop/web', undefined],
  ['shop/web:80', 'pod shop/web', { PORT: '80', PROTOCOL: 'TCP' }],
  ['shop/web:http/tcp', 'pod shop/web', { PORT: 'http', PROTOCOL: 'TCP' }],
  ['world:53/UDP', 'world', { PORT: '53', PROTOCOL: 'UDP' }],
  ['shop/web:icmp', 'pod shop/web', { PROTOCOL: 'ICMP' }],
  ['shop/web:/icmp', 'pod shop/web', { PROTOCOL: 'ICMP' }],
  ['shop/web:icmp/tcp', 'pod shop/web', { PORT: 'icmp', PROTOCOL: 'TCP' }],
  ['10.42.0.7:80', 'address 10.42.0.7', { PORT: '80', PROTOCOL: 'TCP' }],
  ['fd42::7', 'address fd42::7', undefined],
  ['[fd42::7]:80/sctp', 'address fd42::7', { PORT: '80', PROTOCOL: 'SCTP' }],
] as const)
  t.test(`${text} is a target`, async (t) => t.strictSame(parseTarget(text), { to, port }))

for (const [text, message] of [
  ['fd42::7:80/TCP', '"fd42::7:80/TCP": an IPv6 address before a port stands in brackets: [fd42::7]:80/TCP'],
  ['shop/web:', '"" is no port: write it like 80, http, 53/UDP or icmp'],
  ['shop/web:0', '"0" is no port: write it like 80, http, 53/UDP or icmp'],
  ['shop/web:65536', '"65536" is no port: write it like 80, http, 53/UDP or icmp'],
  ['shop/web:80/quic', '"quic" is no protocol; TCP, UDP, SCTP and ICMP are known'],
  ['shop/web:80/icmp', '"80/icmp": ICMP has no ports; write icmp'],
  [':80', '":80": an IPv6 address before a port stands in brackets: [fd42::7]:80/TCP'],
] as const)
  t.test(`${text} is no target`, async (t) => t.throws(() => parseTarget(text), { code: 'USAGE', message }))

t.test('the largest port is one', async (t) => t.same(parsePort('65535/udp'), { PORT: '65535', PROTOCOL: 'UDP' }))
