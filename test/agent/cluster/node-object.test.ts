import t from 'tap'
import { formatNodeObject, NodeObjectError, parseNodeObject } from '../../../agent/cluster/node-object.ts'

const NODE = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'pi-1', labels: { any: 'thing' } },
  spec: { podCIDR: '10.42.1.0/24', podCIDRs: ['10.42.1.0/24', 'fd42:0:0:1::/64'] },
  status: {
    addresses: [
      { type: 'Hostname', address: 'pi-1' },
      { type: 'InternalIP', address: '192.168.1.1' },
      { type: 'InternalIP', address: '192.168.7.1' },
      { type: 'InternalIP', address: '2001:db8::1' },
    ],
  },
}

t.test('name, pod CIDRs and the first InternalIP of each family are read', async (t) => {
  t.match(parseNodeObject(NODE), {
    name: 'pi-1',
    podCidrs: [{ text: '10.42.1.0/24' }, { text: 'fd42:0:0:1::/64' }],
    addresses: ['192.168.1.1', '2001:db8::1'],
  })
})

t.test('labels, and all other addresses that it has, are read for policies', async (t) => {
  const node = parseNodeObject({
    ...NODE,
    status: {
      addresses: [
        ...NODE.status.addresses,
        { type: 'ExternalIP', address: '203.0.113.7' },
        { type: 'ExternalIP', address: '192.168.1.1' },
        { type: 'ExternalIP', address: 'FD00:a:0::2' },
        { type: 'ExternalDNS', address: 'pi-1.example.com' },
      ],
    },
  })
  t.strictSame(node.labels, { any: 'thing' })
  t.strictSame(node.addresses, ['192.168.1.1', '2001:db8::1'])
  t.strictSame(node.otherAddresses, ['192.168.7.1', '203.0.113.7', 'fd00:a::2'])
  t.strictSame(parseNodeObject(JSON.parse(JSON.stringify(formatNodeObject(node)))), node)
})

t.test('spec.podCIDR is read where there is no list; a node without either has none yet', async (t) => {
  t.match(parseNodeObject({ ...NODE, spec: { podCIDR: '10.42.9.0/24' } }).podCidrs, [{ text: '10.42.9.0/24' }])
  t.same(parseNodeObject({ ...NODE, spec: {} }).podCidrs, [])
  t.same(parseNodeObject({ ...NODE, spec: undefined, status: undefined }).addresses, [])
})

t.test('what cannot be used is refused by the name of its field', async (t) => {
  for (const [change, message] of [
    [{ kind: 'Pod' }, 'apiVersion "v1", kind "Pod": expected v1, Node'],
    [{ metadata: { name: 'Pi_1' } }, 'metadata.name is "Pi_1"; a host name is expected'],
    [
      { metadata: { name: 'pi-1', labels: { rack: 3 } } },
      'metadata.labels["rack"] is 3; text is expected: put it in quotes',
    ],
    [{ metadata: null }, 'metadata is null; a mapping with the name is expected'],
    [{ spec: { podCIDRs: '10.42.1.0/24' } }, 'spec.podCIDRs is "10.42.1.0/24"; a list is expected'],
    [{ spec: { podCIDRs: ['10.42.1.7/24'] } }, /^spec\.podCIDRs: .*10\.42\.1\.0\/24/],
    [{ spec: { podCIDRs: ['10.1.0.0/24', '10.2.0.0/24'] } }, /^spec\.podCIDRs has two of one family/],
    [{ status: { addresses: [{ type: 'InternalIP', address: 'pi-1.local' }] } }, /^status\.addresses: /],
    [
      { status: { addresses: ['192.168.1.1'] } },
      'status.addresses[] is "192.168.1.1"; a mapping with type and address is expected',
    ],
  ] as const)
    t.throws(() => parseNodeObject({ ...NODE, ...change }), { code: 'NODE_OBJECT', message })
  for (const noise of [null, undefined, 'Node', 7, [], {}]) t.throws(() => parseNodeObject(noise), NodeObjectError)
})

t.test('an InternalIP is as the kernel writes it, however it was spelled', async (t) => {
  for (const [spelled, canonical] of [
    ['FD00:a:0::2', 'fd00:a::2'],
    ['2001:db8:0:0:0:0:0:1', '2001:db8::1'],
    ['fd00::192.168.1.1', 'fd00::c0a8:101'],
  ] as const)
    t.same(parseNodeObject({ ...NODE, status: withAddress(spelled) }).addresses, [canonical])
})

t.test('an InternalIP at which nobody else can reach the node is refused', async (t) => {
  for (const [address, why] of [
    ['0.0.0.0', 'this network'],
    ['127.0.0.1', 'loopback'],
    ['224.0.0.1', 'multicast'],
    ['255.255.255.255', 'reserved'],
    ['::', 'unspecified'],
    ['::1', 'loopback'],
    ['::ffff:192.168.1.1', 'IPv4-mapped'],
    ['fe80::1', 'link-local'],
    ['ff02::1', 'multicast'],
  ] as const)
    t.throws(() => parseNodeObject({ ...NODE, status: withAddress(address) }), {
      code: 'NODE_OBJECT',
      message: new RegExp(
        `^status\\.addresses: .*${why}.*; an address is expected at which other nodes reach this one$`,
      ),
    })
  t.same(parseNodeObject({ ...NODE, status: withAddress('169.254.3.4') }).addresses, ['169.254.3.4'], 'one cable')
})

t.test('pod CIDRs that would take the node from everything else are refused', async (t) => {
  for (const cidr of ['0.0.0.0/0', '127.0.0.0/16', '169.254.0.0/16', '224.0.0.0/4', '::/0', 'fe80::/10', 'ff00::/8'])
    t.throws(() => parseNodeObject({ ...NODE, spec: { podCIDRs: [cidr] } }), {
      code: 'NODE_OBJECT',
      message: new RegExp(`^spec\\.podCIDRs: ${cidr} overlaps .*; give the pods private addresses$`),
    })
})

function withAddress(address: string) {
  return { addresses: [{ type: 'InternalIP', address }] }
}

const KEY = 'yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk='
const announcing = (text: string) => ({
  ...NODE,
  metadata: { name: 'pi-1', annotations: { 'bramble.dev/node': text } },
})

t.test(
  'what its agent announces is read from the one annotation; what a newer agent can do besides is left out',
  async (t) => {
    const text = `{"encapsulations":["geneve","wireguard","vxlan"],"wireguard":{"publicKey":"${KEY}","port":51820},"x":1}`
    t.same(parseNodeObject(announcing(text)).announcement, {
      encapsulations: ['vxlan', 'wireguard'],
      wireguard: { publicKey: KEY, port: 51820 },
    })
    t.notOk(parseNodeObject(NODE).announcement)
  },
)

t.test('an announcement that cannot be used is refused by the name of its field', async (t) => {
  for (const [text, message] of [
    ['{', /^annotation bramble\.dev\/node is "{"; JSON is expected/],
    ['7', /^annotation bramble\.dev\/node is 7; a JSON object is expected/],
    ['{}', /encapsulations is missing; a list/],
    ['{"encapsulations":[],"wireguard":{"publicKey":"x","port":1}}', /wireguard\.publicKey is "x"; 32 bytes/],
    [`{"encapsulations":[],"wireguard":{"publicKey":"${KEY}","port":0}}`, /wireguard\.port is 0; a UDP port/],
  ] as const)
    t.throws(() => parseNodeObject(announcing(text)), { code: 'NODE_OBJECT', message })
})

const since = (creationTimestamp: unknown) =>
  parseNodeObject({ ...NODE, metadata: { ...NODE.metadata, creationTimestamp } })

t.test('since when the cluster has it is read, where somebody wrote that down', async (t) => {
  t.equal(since('2026-11-21T18:00:00Z').createdAt, '2026-11-21T18:00:00Z')
  for (const none of [null, undefined, 'long ago', {}]) t.notOk('createdAt' in since(none))
})

t.test('what is written is read again as the same node', async (t) => {
  const announced = parseNodeObject(announcing('{"encapsulations":["ipip"]}'))
  for (const node of [parseNodeObject(NODE), announced, since('2026-11-21T18:00:00Z')])
    t.same(parseNodeObject(JSON.parse(JSON.stringify(formatNodeObject(node)))), node)
})
