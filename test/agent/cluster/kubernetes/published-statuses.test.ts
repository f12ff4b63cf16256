import t from 'tap'
import { ApiClient } from '../../../../agent/cluster/kubernetes/client.ts'
import { KubernetesSource } from '../../../../agent/cluster/kubernetes/nodes.ts'
import { ApiDouble } from './api-double.ts'
import { until } from './until.ts'

const NODES = '/api/v1/nodes'
const node = (name: string, status?: string) => ({
  metadata: { name, ...(status !== undefined && { annotations: { 'bramble.dev/status': status } }) },
  spec: { podCIDRs: ['10.42.0.0/24'] },
})

t.test(
  'what was published before we listened is known, what is published then has a time, what is gone is gone',
  async (t) => {
    const double = await ApiDouble.start()
    double.objects.put(NODES, node('pi-2', 'before'))
    double.objects.put(NODES, node('pi-3'))
    double.objects.put(NODES, node('pi-4', 'x'.repeat(3000)))
    const source = new KubernetesSource(new ApiClient({ server: double.url, skipsTlsVerify: false }), 'pi-1')
    t.teardown(async () => {
      await source.close()
      await double.close()
    })
    source.start(() => {})
    const published = () => source.board.published()
    await until('it has listed', () => published().size === 3)
    await until('it watches', () => double.watches.size > 0)
    t.same(
      published(),
      new Map([
        ['pi-2', { text: 'before' }],
        ['pi-3', undefined],
        ['pi-4', undefined],
      ]),
    )
    double.objects.put(NODES, node('pi-3', 'then'))
    double.objects.delete(NODES, 'pi-2')
    await until('both are heard', () => !published().has('pi-2') && published().get('pi-3') !== undefined)
    t.match(published().get('pi-3'), { text: 'then', heardAtMs: Number })
  },
)
