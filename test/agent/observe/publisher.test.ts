import t from 'tap'
import { type PublishedStatus, parseStatus } from '../../../agent/observe/published-status.ts'
import { Publisher } from '../../../agent/observe/publisher.ts'
import { until } from '../cluster/kubernetes/until.ts'

const STATUS: PublishedStatus = {
  version: '1',
  pods: 1,
  mtuBytes: 1450,
  policies: 0,
  ways: {},
  usedPercent: 0,
  problems: 0,
}

function fixture(leastMs: number, renewMs: number) {
  const state = { status: STATUS, looks: 0, fails: false }
  const published: PublishedStatus[] = []
  const publisher = new Publisher(
    {
      status: async () => {
        state.looks++
        if (state.fails) throw new Error('the kernel does not answer')
        return state.status
      },
      publish: (text) => void published.push(parseStatus(text)?.status as PublishedStatus),
    },
    leastMs,
    renewMs,
  )
  t.teardown(() => publisher.close())
  return { state, published }
}

t.test('it is told at the start, and when something of substance has changed', async (t) => {
  const { state, published } = fixture(5, 1e9)
  await until('it is told', () => published.length === 1)
  state.status = { ...STATUS, pods: 2 }
  const { looks } = state
  await until('it has looked again', () => state.looks > looks + 3)
  t.equal(published.length, 1)
  state.status = { ...STATUS, pods: 3, problems: 1, problem: 'x' }
  await until('it is told', () => published.length === 2)
  t.match(published[1], { pods: 3, problem: 'x' })
})

t.test('it is told again when its time is over, since nothing else says that the agent lives', async () => {
  const { published } = fixture(5, 20)
  await until('it is told again and again', () => published.length > 3)
})

t.test('a look that fails tells nothing, and the next one may', async (t) => {
  const { state, published } = fixture(5, 1e9)
  state.fails = true
  const { looks } = state
  state.status = { ...STATUS, problems: 1 }
  await until('it has looked', () => state.looks > looks + 3)
  const { length } = published
  state.fails = false
  await until('it is told', () => published.length > length)
  t.match(published.at(-1), { problems: 1 })
})
