import t from 'tap'
import { CutFlows } from '../../../agent/api/policy-flows.ts'
import { changeBy } from '../../../agent/api/policy-preview.ts'
import { attribute, nested } from '../../../agent/kernel/attributes.ts'
import type { ConntrackEntry } from '../../../agent/kernel/conntrack.ts'
import { ADDRESSES, networkPolicy, smallCluster } from '../policy/small-cluster.ts'

const TCP = 6
const ICMP = 1

/** A connection between ends by name; of a Service where it was sent elsewhere. */
function entry(from: string, to: string, port: number, protocol = TCP, sentTo = to): ConntrackEntry {
  const address = (end: string) => ADDRESSES[end]?.[0] ?? end
  const ports = { sourcePort: protocol === TCP ? 4711 : 0, destinationPort: port }
  return {
    original: { source: address(from), destination: address(sentTo), protocol, ...ports },
    reply: {
      source: address(to),
      destination: address(from),
      protocol,
      sourcePort: port,
      destinationPort: ports.sourcePort,
    },
    mark: 0,
    status: 0,
    identity: { family: 2, tuple: Buffer.alloc(0), id: Buffer.alloc(0) },
  }
}

function cut(entries: readonly ConntrackEntry[], before: Parameters<typeof smallCluster>[0] = []) {
  const onlyB = networkPolicy({
    ingress: [{ from: [{ podSelector: { matchLabels: { pod: 'b' } } }], ports: [{ port: 80 }] }],
  })
  const flows = new CutFlows(changeBy([onlyB], smallCluster(before).input, false))
  for (const one of entries) flows.take(one)
  return flows.report
}

t.test('connections that the change no longer allows are told with the names of both ends', async (t) => {
  const report = cut([
    entry('x/b', 'x/a', 80),
    entry('x/b', 'x/a', 81),
    entry('world', 'x/a', 80),
    entry('y/b', 'x/a', 0, ICMP),
  ])
  t.equal(report.looked, 4)
  t.same(
    report.cut.map(({ from, to, port, source, destination }) => [from, to, port, source, destination].join(' ')),
    [
      'world x/a TCP 80 203.0.113.9:4711 10.42.1.10',
      'x/b x/a TCP 81 10.42.2.10:4711 10.42.1.10',
      'y/b x/a ICMP 10.42.2.20 10.42.1.10',
    ],
  )
  t.equal(report.cut[0]?.why, 'in: isolated by NetworkPolicy x/web')
})

t.test('through a Service it is the pod that counts', async (t) => {
  const { cut: rows } = cut([entry('x/b', 'x/a', 80, TCP, '10.96.0.1'), entry('y/b', 'x/a', 80, TCP, '10.96.0.1')])
  t.match(rows, [{ from: 'y/b', to: 'x/a', port: 'TCP 80' }])
})

t.test('what is denied already is not cut by the change, nor is what is between others', async (t) => {
  t.same(cut([entry('world', 'x/a', 81)], [networkPolicy({}, 'old')]), { cut: [], more: 0, looked: 1 })
  t.same(cut([entry('x/b', 'y/b', 80), entry('pi-2', 'world', 80)]), { cut: [], more: 0, looked: 0 })
})

t.test('the own node is never cut off', async (t) => {
  t.same(cut([entry('pi-1', 'x/a', 10250)]), { cut: [], more: 0, looked: 1 })
})

t.test('of very many all are counted, and the first are told', async (t) => {
  const many = Array.from({ length: 500 }, (_, index) => entry('world', 'x/a', 1000 + index))
  const { cut: rows, more } = cut(many)
  t.equal(rows.length, 200)
  t.equal(more, 300)
})

t.test('a connection that has ended is there for two minutes more, and nobody misses it', async (t) => {
  const inState = (protocol: number, state: number): ConntrackEntry => ({
    ...entry('world', 'x/a', 80),
    protocolInfo: nested(protocol, attribute(1, Uint8Array.of(state))),
  })
  const [TCP_INFO, SCTP_INFO] = [1, 3]
  const over = [inState(TCP_INFO, 7), inState(TCP_INFO, 8), inState(SCTP_INFO, 1)]
  t.same(cut(over), { cut: [], more: 0, looked: 0 })
  t.equal(cut([inState(TCP_INFO, 3)]).cut.length, 1, 'one that is established')
})
