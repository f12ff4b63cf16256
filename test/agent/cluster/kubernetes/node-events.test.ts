import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parseAllDocuments } from 'yaml'
import { ApiClient } from '../../../../agent/cluster/kubernetes/client.ts'
import { NodeEvents } from '../../../../agent/cluster/kubernetes/node-events.ts'
import { ApiDouble } from './api-double.ts'

const MANIFEST = join(import.meta.dirname, '../../../../deploy/bramble.yaml')
const EVENTS = '/api/v1/events'

async function fixture(t: Test) {
  const double = await ApiDouble.start()
  double.objects.install(EVENTS, { apiVersion: 'v1', kind: 'Event' })
  const client = new ApiClient({ server: double.url, skipsTlsVerify: false })
  const events = () => new NodeEvents(client, 'pi-1', new AbortController().signal)
  t.teardown(async () => {
    client.close()
    await double.close()
  })
  const only = () => {
    const all = double.objects.list(EVENTS)
    t.equal(all.length, 1)
    return all[0]
  }
  return { double, events, only }
}

const degraded = (times: number, message = 'no way to pi-2') => ({ reason: 'NetworkDegraded', message, times })

t.test('an Event is on the Node, where kubectl describe looks for it', async (t) => {
  const { events, only } = await fixture(t)
  await events().tell(degraded(1))
  t.match(only(), {
    metadata: { namespace: 'default' },
    involvedObject: { apiVersion: 'v1', kind: 'Node', name: 'pi-1', uid: 'pi-1' },
    type: 'Warning',
    reason: 'NetworkDegraded',
    message: 'no way to pi-2',
    count: 1,
    source: { component: 'bramble-agent', host: 'pi-1' },
    firstTimestamp: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/,
  })
})

t.test('told again it is the same Event with a higher count and the newer message', async (t) => {
  const { double, events, only } = await fixture(t)
  const told = events()
  await told.tell(degraded(1))
  await told.tell(degraded(3, 'no way to pi-3'))
  t.match(only(), { count: 4, message: 'no way to pi-3' })
  t.same([double.count('create'), double.count('patch')], [1, 1])
  const { rules } = parseAllDocuments(readFileSync(MANIFEST, 'utf8'))
    .map((document) => document.toJS())
    .find(({ kind }) => kind === 'Role')
  const { verbs } = rules.find(({ resources }: { resources: string[] }) => resources.includes('events'))
  t.same(verbs, ['create', 'patch'], 'what this has asked for, the Role permits')
})

t.test('an agent that starts anew counts on where the one before was', async (t) => {
  const { double, events, only } = await fixture(t)
  await events().tell(degraded(5))
  await events().tell(degraded(1))
  t.match(only(), { count: 6 })
  t.equal(double.count('get') + double.count('list'), 0, 'it may not read Events')
})

t.test('an Event that the server has forgotten is made anew', async (t) => {
  const { double, events, only } = await fixture(t)
  const told = events()
  await told.tell(degraded(5))
  for (const { metadata } of double.objects.list(EVENTS)) double.objects.delete(EVENTS, `default/${metadata.name}`)
  await told.tell(degraded(2))
  t.match(only(), { count: 2 })
})

t.test('who may not make Events is told, with the verb', async (t) => {
  const { double, events } = await fixture(t)
  double.forbidden.add('create events')
  await t.rejects(events().tell(degraded(1)), /ClusterRole with the verb "create" on "events"/)
})

t.test('who may make Events and not patch them is told the verb that is missing', async (t) => {
  const { double, events } = await fixture(t)
  double.forbidden.add('patch events')
  const told = events()
  await told.tell(degraded(1))
  await t.rejects(told.tell(degraded(1)), /ClusterRole with the verb "patch" on "events"/)
})
