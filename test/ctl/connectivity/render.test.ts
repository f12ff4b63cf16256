import t from 'tap'
import { nextStep } from '../../../ctl/connectivity/next-step.ts'
import { CHECKS } from '../../../ctl/connectivity/plan.ts'
import { parseOutcomes } from '../../../ctl/connectivity/probe.ts'
import { renderReport } from '../../../ctl/connectivity/render.ts'
import { type Row, rowsOf, withoutTheOffline } from '../../../ctl/connectivity/rows.ts'

const row = (more: Partial<Row>): Row => ({
  check: 'pod to pod on another node: TCP',
  from: 'pod on pi-1',
  node: 'pi-1',
  to: 'pod on pi-2',
  toNode: 'pi-2',
  address: '10.42.2.2',
  family: 4,
  result: 'good',
  words: '1.0 ms',
  ...more,
})

t.test('a line for each check and family; then what failed, and what to look at', (t) => {
  const { family: _family, address: _address, ...more } = row({ check: 'pod asks DNS' })
  const named: Row = { ...more, result: 'skipped', words: 'there is none' }
  const rows = [
    row({}),
    row({ result: 'failed', words: 'no connection' }),
    row({ family: 6, address: 'fd42::2' }),
    named,
  ]
  t.equal(
    renderReport({ rows, agentPods: new Map([['pi-1', 'bramble-x']]) }),
    `CHECK                            FAMILY  RESULT
pod to pod on another node: TCP  IPv4    1 of 2: FAILED
pod to pod on another node: TCP  IPv6    good  1.0 ms
pod asks DNS                     -       skipped

failed, and what to look at:
  pod to pod on another node: TCP, pod on pi-1 to pod on pi-2 (10.42.2.2): no connection
      look: kubectl -n kube-system exec bramble-x -- bramblectl nodes   # on pi-1: is there a way to pi-2, and which?
      look: on pi-2: sudo bramblectl doctor   # does a firewall drop the tunnel's packets, or what comes out of it?

skipped:
  pod asks DNS: there is none

1 of 4 failed`,
  )
  t.end()
})

t.test('of many that fail alike a dozen are told, and the remedy once', (t) => {
  const rows = Array.from({ length: 30 }, () => row({ result: 'failed', words: 'no connection' }))
  const text = renderReport({ rows, agentPods: new Map() })
  t.equal(text.split('no connection').length - 1, 12)
  t.match(text, '  … and 18 more')
  t.equal(text.split('bramblectl nodes').length - 1, 1)
  t.end()
})

t.test('every check that can fail says what to look at', (t) => {
  for (const check of CHECKS)
    if (check !== 'node to outside') t.ok(nextStep(row({ check, result: 'failed' })).length > 0, check)
  t.end()
})

t.test('what a node does not reach itself its pods need not reach; another node, another address all the same', (t) => {
  const outside = (more: Partial<Row>) =>
    row({ check: 'pod to outside', result: 'failed', address: '192.0.2.1', ...more })
  const rows = withoutTheOffline([
    outside({ check: 'node to outside' }),
    outside({}),
    outside({ node: 'pi-2' }),
    outside({ address: '192.0.2.2' }),
    row({ result: 'failed' }),
  ])
  t.same(
    rows.map(({ result }) => result),
    ['skipped', 'skipped', 'failed', 'failed', 'failed'],
  )
  t.end()
})

t.test('what nobody told the outcome of has failed', (t) => {
  const place = { name: 'client-0', node: 'pi-1', isNode: false }
  const probe = { id: 0, kind: 'tcp', target: '10.42.2.2', expects: 'reached', patienceMs: 1 } as const
  const planned = [{ place, probe, check: 'pod to Service', to: 'Service s' } as const]
  t.match(rowsOf(planned, [], 'it was evicted'), [{ result: 'failed', words: 'it was evicted', from: 'pod on pi-1' }])
  t.match(rowsOf(planned, [{ id: 0, isGood: true, words: '1 ms' }]), [{ result: 'good', words: '1 ms' }])
  t.end()
})

t.test('outcomes are found in a log among other lines, and half a line is waited for', (t) => {
  const line = 'bramble-outcome {"id":1,"isGood":true,"words":"2 ms"}'
  t.same(parseOutcomes(`(node:1) Warning: x\n${line}\nbramble-outcome {"id":2,"isG`), {
    outcomes: [{ id: 1, isGood: true, words: '2 ms' }],
    isDone: false,
  })
  t.equal(parseOutcomes(`${line}\nbramble-outcomes-done\n`).isDone, true)
  t.same(parseOutcomes(''), { outcomes: [], isDone: false })
  t.end()
})

t.end()
