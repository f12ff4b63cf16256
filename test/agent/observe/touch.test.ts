import t from 'tap'
import { EMPTY_VIEW } from '../../../agent/cluster/view.ts'
import { Touch } from '../../../agent/observe/touch.ts'

const SERVER = 'the API server https://10.0.0.1:6443'
const away = { object: SERVER, reason: 'not reachable (ECONNREFUSED)' }
const other = { object: 'Node pi-2', reason: 'has no addresses' }

t.test('a view is old from when its datastore is away, and not while somebody else has a problem', async (t) => {
  const touch = new Touch(SERVER)
  touch.heard({ view: EMPTY_VIEW, problems: [other] })
  t.same([touch.isAway, touch.ageSeconds], [false, 0])
  touch.heard({ view: EMPTY_VIEW, changed: new Set(), problems: [away] })
  await new Promise((resolve) => setTimeout(resolve, 20))
  touch.heard({ view: EMPTY_VIEW, changed: new Set(), problems: [other, away] })
  t.ok(touch.isAway)
  t.ok(touch.ageSeconds > 0.01, 'since it went, and not since it was last told')
  touch.heard({ view: EMPTY_VIEW, changed: new Set(), problems: [] })
  t.same([touch.isAway, touch.ageSeconds], [false, 0])
})

t.test('only what changes the cluster is a change', async (t) => {
  const touch = new Touch(undefined)
  touch.heard({ view: undefined, problems: [other] })
  t.same([touch.changes, touch.changedAtMs], [0, undefined])
  touch.heard({ view: EMPTY_VIEW, changed: new Set(), problems: [] })
  touch.heard({ view: EMPTY_VIEW, changed: new Set(), problems: [other] })
  touch.heard({ view: EMPTY_VIEW, changed: new Set(['pi-2']), problems: [] })
  t.equal(touch.changes, 2)
})
