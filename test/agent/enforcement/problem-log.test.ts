import pino from 'pino'
import t from 'tap'
import { ProblemLog } from '../../../agent/enforcement/problem-log.ts'

const MINUTE_MS = 60_000

/** A log, and a clock that stands still. */
function fixture() {
  const clock = { nowMs: 0 }
  const lines: Record<string, unknown>[] = []
  const log = pino({ base: null, timestamp: false }, { write: (line: string) => lines.push(JSON.parse(line)) })
  const problems = new ProblemLog(log, () => clock.nowMs)
  return { clock, lines, problems }
}
const wrong = (object: string, ...fields: string[]) => fields.map((field) => ({ object, reason: `${field}: wrong` }))

t.test('a policy is one line, however much of it is wrong; what is still wrong is not told again', async (t) => {
  const { lines, problems } = fixture()
  problems.tell([...wrong('NetworkPolicy x/a', 'spec.ingress[0]', 'spec.ingress[1]', 'spec.ingress[2]')])
  t.match(lines, [{ object: 'NetworkPolicy x/a', reason: 'spec.ingress[0]: wrong', moreReasons: 2 }])
  problems.tell([...wrong('NetworkPolicy x/a', 'spec.ingress[1]'), ...wrong('NetworkPolicy x/b', 'spec.egress[0]')])
  t.equal(lines.length, 2)
  t.match(lines[1], { object: 'NetworkPolicy x/b', reason: 'spec.egress[0]: wrong', moreReasons: undefined })
})

t.test('who changes a policy all the time fills no log', async (t) => {
  const { clock, lines, problems } = fixture()
  for (let change = 0; change < 1_000; change++) problems.tell(wrong('NetworkPolicy x/a', `spec.ingress[${change}]`))
  t.equal(lines.length, 1)
  problems.tell(wrong('NetworkPolicy x/b', 'spec.egress[0]'))
  t.equal(lines.length, 2, 'others are heard all the same')
  clock.nowMs += MINUTE_MS
  problems.tell(wrong('NetworkPolicy x/a', 'spec.ingress[0]'))
  t.equal(lines.length, 3)
})

t.test('many policies are not as many lines', async (t) => {
  const { clock, lines, problems } = fixture()
  const many = (word: string) =>
    Array.from({ length: 500 }, (_, n) => wrong(`NetworkPolicy x/${word}-${n}`, 'spec')).flat()
  problems.tell(many('a'))
  problems.tell(many('b'))
  t.equal(lines.length, 31)
  t.match(lines.at(-1), { msg: /see bramblectl policy show/ })
  clock.nowMs += MINUTE_MS
  problems.tell(many('c'))
  t.equal(lines.length, 62)
})
