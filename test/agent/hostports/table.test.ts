import t from 'tap'
import { listedElement, portElements, renderElements, renderPorts } from '../../../agent/hostports/table.ts'
import type { HostPort } from '../../../ipam/host-port.ts'

const ADDRESSES = ['10.42.0.7', 'fd42::7']
const port = (change: Partial<HostPort> = {}): HostPort => ({
  protocol: 'tcp',
  hostIp: '',
  hostPort: 80,
  containerPort: 8080,
  ...change,
})
const elements = (...hostPorts: HostPort[]) => portElements({ addresses: ADDRESSES, hostPorts })

t.test('a port of any address leads to the pod in both families, and the pod may call itself by it', async (t) => {
  t.equal(
    renderElements('add', elements(port())),
    [
      'add element inet bramble-hostports any4 { 6 . 80 : 10.42.0.7 . 8080 }',
      'add element inet bramble-hostports self4 { 10.42.0.7 . 10.42.0.7 }',
      'add element inet bramble-hostports any6 { 6 . 80 : fd42::7 . 8080 }',
      'add element inet bramble-hostports self6 { fd42::7 . fd42::7 }',
    ].join('\n'),
  )
})

t.test('a port of one address, or of a wildcard, leads to the pod in one family', async (t) => {
  const sets = (hostIp: string) => elements(port({ hostIp, protocol: 'udp' })).map(({ set, key }) => `${set} ${key}`)
  t.strictSame(sets('192.0.2.1'), ['at4 192.0.2.1 . 17 . 80', 'self4 10.42.0.7 . 10.42.0.7'])
  t.strictSame(sets('2001:db8::1'), ['at6 2001:db8::1 . 17 . 80', 'self6 fd42::7 . fd42::7'])
  t.strictSame(sets('0.0.0.0'), ['any4 17 . 80', 'self4 10.42.0.7 . 10.42.0.7'])
  t.strictSame(sets('::'), ['any6 17 . 80', 'self6 fd42::7 . fd42::7'])
})

t.test('elements are deleted by their keys, many in one command', async (t) => {
  t.equal(
    renderElements('delete', portElements({ addresses: ['10.42.0.7'], hostPorts: [port(), port({ hostPort: 81 })] })),
    [
      'delete element inet bramble-hostports any4 { 6 . 80, 6 . 81 }',
      'delete element inet bramble-hostports self4 { 10.42.0.7 . 10.42.0.7 }',
    ].join('\n'),
  )
})

t.test('without ports there is no table, and a pod without them has no elements', async (t) => {
  t.strictSame(portElements({ addresses: ADDRESSES }), [])
  t.equal(renderPorts([]), 'add table inet bramble-hostports\ndelete table inet bramble-hostports')
})

t.test(
  'elements are known from what libnftables lists, protocols by name or number, with a comment or without',
  async (t) => {
    const [web] = elements(port())
    const data = { concat: ['10.42.0.7', 8080] }
    t.strictSame(listedElement('any4', [{ concat: ['tcp', 80] }, data]), web)
    t.strictSame(listedElement('any4', [{ concat: [6, 80] }, data]), web)
    t.strictSame(listedElement('any4', [{ elem: { val: { concat: ['tcp', 80] }, comment: 'x' } }, data]), web)
    t.strictSame(listedElement('self4', { concat: ['10.42.0.7', '10.42.0.7'] }), elements(port())[1])
    for (const strange of [7, null, 'x', [7, 8]]) t.equal(listedElement('any4', strange).key, '')
  },
)
