import fc from 'fast-check'
import t from 'tap'
import { renderExposition } from '../../../agent/observe/exposition.ts'
import { family } from '../../../agent/observe/family.ts'
import { capture } from '../../kernel/scratch.ts'
import { readExposition } from './exposition-text.ts'

t.test('a metric is its help, its type and a line for each series', async (t) => {
  const text = renderExposition([
    family('bramble_peer_ways', [
      [{ way: 'direct' }, 2],
      [{ way: 'none' }, 1],
    ]),
    family('bramble_pods', [[{}, 12]]),
  ])
  t.equal(
    text,
    [
      '# HELP bramble_peer_ways Other nodes by the way to their pods.',
      '# TYPE bramble_peer_ways gauge',
      'bramble_peer_ways{way="direct"} 2',
      'bramble_peer_ways{way="none"} 1',
      "# HELP bramble_pods Interfaces of this node's pods.",
      '# TYPE bramble_pods gauge',
      'bramble_pods 12',
      '',
    ].join('\n'),
  )
})

t.test('a metric without series is left out', async (t) => {
  t.equal(renderExposition([family('bramble_peer_ways', [])]), '')
})

t.test('whatever a label says, it stays one label of one line', async (t) => {
  const hostile = fc.string({
    unit: fc.constantFrom('"', '\\', '\n', '\r', ',', '}', '=', '\u2028', '\0', 'é', '😀', 'a'),
  })
  fc.assert(
    fc.property(fc.oneof(hostile, fc.string({ unit: 'binary' })), (peer) => {
      const text = renderExposition([family('bramble_peer_way', [[{ peer, way: 'none' }, 1]])])
      t.same(readExposition(text), [{ name: 'bramble_peer_way', labels: { peer, way: 'none' }, value: 1 }])
    }),
  )
})

t.test('Prometheus reads labels that want to be something else', async (t) => {
  const hostile = ['"} 1\n# TYPE x counter\nx{y="', '\\', '\\"', '\r\n', '\u2028', '\0', 'a\ud800']
  const text = renderExposition([
    family(
      'bramble_peer_way',
      hostile.map((peer) => [{ peer, way: 'none' }, 1]),
    ),
  ])
  t.same(await capture('promtool', ['check', 'metrics'], text), { exitCode: 0, stdout: '', stderr: '' })
})

t.test('half of a character becomes a whole one, since Prometheus refuses what is no UTF-8', async (t) => {
  const text = renderExposition([family('bramble_peer_way', [[{ peer: 'a\ud800', way: 'none' }, 1]])])
  t.equal(readExposition(text)[0]?.labels.peer, 'a\ufffd')
})

t.test('every number is one that Go reads', async (t) => {
  fc.assert(
    fc.property(fc.double(), (value) => {
      const read = readExposition(renderExposition([family('bramble_pods', [[{}, value]])]))[0]?.value
      t.ok(read === value || (Number.isNaN(read) && Number.isNaN(value)) || (value === 0 && read === 0))
    }),
  )
})
