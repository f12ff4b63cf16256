import t from 'tap'
import { ProblemHistory } from '../../../agent/observe/history.ts'

t.test('a problem is as old as the first look that saw it without a break', async (t) => {
  const history = new ProblemHistory()
  history.look(['a'], 1000)
  history.look(['a', 'b'], 2000)
  t.same([history.sinceMs('a'), history.sinceMs('b'), history.sinceMs('c')], [1000, 2000, undefined])
  history.look([], 3000)
  history.look(['a'], 4000)
  t.equal(history.sinceMs('a'), 4000)
})

t.test('the last one that went is remembered for an hour', async (t) => {
  const history = new ProblemHistory()
  t.equal(history.gone(0), undefined)
  history.look(['a', 'b'], 0)
  history.look(['b'], 1000)
  history.look([], 2000)
  t.same(history.gone(3000), { text: 'b', atMs: 2000 })
  t.equal(history.gone(2000 + 3_600_000), undefined)
})
