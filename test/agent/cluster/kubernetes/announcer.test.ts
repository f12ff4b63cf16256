import t, { type Test } from 'tap'
import { Announcer } from '../../../../agent/cluster/kubernetes/announcer.ts'
import type { ApiObject } from '../../../../agent/cluster/kubernetes/answers.ts'
import { ApiClient } from '../../../../agent/cluster/kubernetes/client.ts'
import { ANNOTATION } from '../../../../agent/cluster/node-object.ts'
import { ApiDouble } from './api-double.ts'
import { until } from './until.ts'

const NODES = '/api/v1/nodes'

async function fixture(t: Test, backoff = { firstMs: 1, mostMs: 5 }) {
  const double = await ApiDouble.start()
  const client = new ApiClient({ server: double.url, skipsTlsVerify: false })
  const troubles: (string | undefined)[] = []
  const announcer = new Announcer(client, `${NODES}/pi-1`, (trouble) => troubles.push(trouble), backoff)
  t.teardown(async () => {
    await announcer.close()
    client.close()
    await double.close()
  })
  const node = () => double.objects.get(NODES, 'pi-1') as unknown as ApiObject
  const written = () => node().metadata.annotations?.[ANNOTATION]
  double.objects.put(NODES, { metadata: { name: 'pi-1' } })
  return { double, troubles, announcer, node, written }
}

/** Longer than a patch that was under way would have taken. */
const soon = () => new Promise((resolve) => setTimeout(resolve, 100))

t.test('nothing is written before it is known what is there', async (t) => {
  const { double, announcer, node, written } = await fixture(t)
  announcer.want('x')
  await soon()
  t.equal(double.count('patch'), 0)
  announcer.seen(node())
  await until('it is written', () => written() === 'x')
})

t.test('an event from before our own patch, heard after it, is no reason for another', async (t) => {
  const { double, announcer, node, written } = await fixture(t)
  const before = node()
  announcer.seen(before)
  announcer.want('x')
  await until('it is written', () => written() === 'x')
  await soon()
  announcer.seen(before)
  await soon()
  t.equal(double.count('patch'), 1)
})

t.test('after a list older versions count again: the server was restored from a backup', async (t) => {
  const { announcer, double, node, written } = await fixture(t)
  announcer.want('x')
  announcer.seen({
    ...node(),
    metadata: { ...node().metadata, resourceVersion: '99999', annotations: { [ANNOTATION]: 'x' } },
  })
  announcer.seen(node())
  await soon()
  t.equal(double.count('patch'), 0)
  announcer.forget()
  announcer.seen(node())
  await until('it is written', () => written() === 'x')
})

t.test('a patch whose answer was lost is not repeated once its effect is seen', async (t) => {
  const { double, announcer, node, written, troubles } = await fixture(t, { firstMs: 1, mostMs: 100_000 })
  double.fault = ({ verb }) => (verb === 'patch' ? { kind: 'half' } : undefined)
  announcer.seen(node())
  announcer.want('x')
  await until('it is written', () => written() === 'x')
  announcer.seen(node())
  const patches = double.count('patch')
  await soon()
  t.ok(double.count('patch') <= patches + 1, 'but for one that was under way')
  t.same(troubles, [], 'that the server is away is told by those who watch it')
})

t.test('a Node that is gone is not written to until it is seen again', async (t) => {
  const { double, announcer, node, troubles, written } = await fixture(t)
  const gone = node()
  double.objects.delete(NODES, 'pi-1')
  announcer.seen(gone)
  announcer.want('x')
  await until('it has tried', () => double.count('patch') === 1)
  await soon()
  t.equal(double.count('patch'), 1)
  t.same(troubles, [])
  double.objects.put(NODES, { metadata: { name: 'pi-1' } })
  announcer.seen(node())
  await until('it is written', () => written() === 'x')
})

t.test('two who disagree write less and less often', async (t) => {
  const { double, announcer, node } = await fixture(t, { firstMs: 2, mostMs: 1_000_000 })
  announcer.want('x')
  announcer.seen(node())
  const stop = double.objects.listen(({ object }) => {
    if ((object as ApiObject).metadata.annotations?.[ANNOTATION] !== 'x') return
    setImmediate(() =>
      announcer.seen(
        double.objects.mergePatch(NODES, 'pi-1', { metadata: { annotations: { [ANNOTATION]: 'y' } } }) as ApiObject,
      ),
    )
  })
  t.teardown(stop)
  await until('five rounds', () => double.count('patch') >= 5)
  const { length } = double.requests
  await new Promise((resolve) => setTimeout(resolve, 300))
  t.ok(double.requests.length - length < 8, 'without growing waits there were hundreds')
})
