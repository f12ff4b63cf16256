import t from 'tap'
import { apply } from '../../../agent/reconcile/apply.ts'
import type { Subsystem } from '../../../agent/reconcile/subsystem.ts'

/** Objects are texts `key=value`; what is done is written down. */
function recorded(name: string, done: string[], broken = ''): Subsystem<string> {
  const act = (verb: string) => async (objects: readonly string[]) => {
    for (const object of objects) if (object !== broken) done.push(`${verb} ${name} ${object}`)
    return objects.map((object) => (object === broken ? new Error('refused') : undefined))
  }
  return {
    name,
    describe: (object) => `${name} ${object}`,
    key: (object) => object.split('=')[0] ?? '',
    equal: (a, b) => a === b,
    list: async () => [],
    put: (objects) => act('put')(objects.map(({ desired }) => desired)),
    remove: act('remove'),
  }
}

t.test('what others rest upon is put first, and removed last', async (t) => {
  const done: string[] = []
  const links = recorded('link', done)
  const routes = recorded('route', done)
  await apply([
    { subsystem: links, desired: ['b=1'], actual: ['a=1'] },
    { subsystem: routes, desired: ['y=b'], actual: ['x=a'] },
  ])
  t.same(done, ['put link b=1', 'put route y=b', 'remove route x=a', 'remove link a=1'])
})

t.test('what is as it should be is not touched; what differs is put, not removed first', async (t) => {
  const done: string[] = []
  const subsystem = recorded('route', done)
  const outcome = await apply([{ subsystem, desired: ['a=1', 'b=2'], actual: ['a=1', 'b=9'] }])
  t.same(done, ['put route b=2'])
  t.same(outcome, { put: ['route b=2'], removed: [], failures: [] })
})

t.test('one failure does not stop the rest, and is told by the name of its object', async (t) => {
  const done: string[] = []
  const outcome = await apply([
    { subsystem: recorded('link', done, 'a=1'), desired: ['a=1', 'b=1'], actual: ['c=1'] },
    { subsystem: recorded('route', done), desired: ['x=1'], actual: [] },
  ])
  t.same(done, ['put link b=1', 'put route x=1', 'remove link c=1'])
  t.match(outcome.failures, [{ object: 'link a=1', error: { message: 'refused' } }])
})
