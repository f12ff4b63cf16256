import t from 'tap'
import { isStale } from '../../../agent/hostports/stale.ts'
import type { Tuple } from '../../../agent/kernel/conntrack.ts'

const DNS = {
  addresses: ['10.42.0.7', 'fd42::7'],
  hostPorts: [{ protocol: 'udp', hostIp: '', hostPort: 53, containerPort: 5353 }],
} as const
const NODE = new Set(['192.0.2.1', '2001:db8::1'])

function entry(change: Partial<Tuple> = {}, answeredBy?: string) {
  const original = {
    source: '192.0.2.50',
    sourcePort: 40_000,
    destination: '192.0.2.1',
    destinationPort: 53,
    protocol: 17,
    ...change,
  }
  const reply = {
    source: answeredBy ?? original.destination,
    sourcePort: original.destinationPort,
    destination: original.source,
    destinationPort: original.sourcePort,
    protocol: original.protocol,
  }
  return { original, reply }
}

t.test('what went to nobody, or to the pod before, is stale', async (t) => {
  t.ok(isStale(entry(), DNS, NODE))
  t.ok(isStale(entry({}, '10.42.0.6'), DNS, NODE))
  t.ok(isStale(entry({ source: '127.0.0.1', destination: '127.0.0.1' }), DNS, NODE))
  t.ok(isStale(entry({ destination: '2001:db8::1' }), DNS, NODE))
})

t.test('what the pod answers, what passes through the node, and other ports and protocols are not', async (t) => {
  t.notOk(isStale(entry({}, '10.42.0.7'), DNS, NODE))
  t.notOk(isStale(entry({ destination: '198.51.100.53' }), DNS, NODE), 'a pod asks a server outside')
  t.notOk(isStale(entry({ destination: '127.0.0.53' }), DNS, NODE), 'the node asks its own resolver')
  t.notOk(isStale(entry({ destinationPort: 54 }), DNS, NODE))
  t.notOk(isStale(entry({ protocol: 6 }), DNS, NODE))
})

t.test('a hostIP is about its address alone, a wildcard about its family', async (t) => {
  const at = (hostIp: string) => ({ ...DNS, hostPorts: [{ ...DNS.hostPorts[0], hostIp }] })
  t.ok(isStale(entry(), at('192.0.2.1'), NODE))
  t.notOk(isStale(entry(), at('127.0.0.1'), NODE))
  t.ok(isStale(entry({ destination: '127.0.0.53' }), at('127.0.0.53'), NODE))
  t.ok(isStale(entry(), at('0.0.0.0'), NODE))
  t.notOk(isStale(entry(), at('::'), NODE))
})
