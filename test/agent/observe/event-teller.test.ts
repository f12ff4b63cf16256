import t from 'tap'
import { EventTeller } from '../../../agent/observe/event-teller.ts'
import type { Trouble } from '../../../agent/observe/node-events.ts'
import { Recorder } from '../../../agent/observe/recorder.ts'
import { until } from '../cluster/kubernetes/until.ts'
import { openTestLog } from './log.ts'

type Told = { readonly reason: string; readonly message: string; readonly times: number }

t.test('a trouble that lasts and a repair are told once', async (t) => {
  const told: Told[] = []
  const recorder = new Recorder()
  const trouble: Omit<Trouble, 'repairs'> = { degraded: ['no way'], policies: [], exhaustedCidrs: [], installation: [] }
  const sink = { tell: async (event: Told) => void told.push(event) }
  const teller = new EventTeller({ sink, recorder, trouble: () => trouble, log: openTestLog().log }, 5)
  recorder.repaired('pods', 'route 10.42.0.1')
  await until('both are told', () => told.length === 2)
  await new Promise((resolve) => setTimeout(resolve, 100))
  await teller.close()
  t.same(new Set(told.map(({ reason }) => reason)), new Set(['NetworkDegraded', 'DriftRepaired']))
  t.equal(told.length, 2)
})

t.test('who may not tell goes on, tries again, and says so once', async (t) => {
  let tries = 0
  const sink = {
    tell: async () => {
      tries++
      throw new Error('does not let us create events (403)')
    },
  }
  const { log, lines } = openTestLog()
  const recorder = new Recorder()
  const trouble = () => ({ degraded: [], policies: [], exhaustedCidrs: ['10.42.0.0/24'], installation: [] })
  const teller = new EventTeller({ sink, recorder, trouble, log }, 5)
  await until('it has tried again', () => tries > 3)
  await teller.close()
  t.match(lines(), [{ level: 40, reason: 'does not let us create events (403)' }])
  t.equal(lines().length, 1)
})
