import t from 'tap'
import { ApiClient } from '../../../../agent/cluster/kubernetes/client.ts'
import { KubernetesSource } from '../../../../agent/cluster/kubernetes/nodes.ts'
import { agentPodOf, unreadyOf } from '../../../../agent/cluster/kubernetes/readiness.ts'
import { ApiDouble } from './api-double.ts'
import { until } from './until.ts'

const SINCE = '2026-08-01T10:00:00Z'
const node = (name: string, status: string, message = '') => ({
  metadata: { name },
  spec: { podCIDRs: ['10.42.0.0/24'] },
  status: {
    conditions: [
      { type: 'MemoryPressure', status: 'False' },
      { type: 'Ready', status, message, lastTransitionTime: SINCE },
    ],
  },
})

/** As kubelet writes them, as far as it matters. */
const pod = (name: string, ready: string, waiting?: string) => ({
  metadata: { name, namespace: 'kube-system', labels: { 'app.kubernetes.io/name': 'bramble' } },
  spec: { nodeName: 'pi-2', hostNetwork: true, containers: [{ name: 'agent' }] },
  status: {
    conditions: [{ type: 'Ready', status: ready, lastTransitionTime: SINCE }],
    containerStatuses: [{ state: waiting === undefined ? { running: {} } : { waiting: { reason: waiting } } }],
  },
})

t.test('a Node tells when it is not Ready; one that never said so tells nothing', async (t) => {
  t.equal(unreadyOf(node('pi-2', 'True')), undefined)
  t.equal(unreadyOf({ metadata: { name: 'pi-2' } }), undefined)
  const sinceMs = Date.parse(SINCE)
  t.same(unreadyOf(node('pi-2', 'Unknown', 'Kubelet stopped')), { isHeard: false, message: 'Kubelet stopped', sinceMs })
  t.same(unreadyOf(node('pi-2', 'False', 'PLEG')), { isHeard: true, message: 'PLEG', sinceMs })
  t.equal(unreadyOf(node('pi-2', 'False', '\ud83d\ude00'.repeat(1000)))?.message.length, 160)
})

t.test('pods of the agent are those of its DaemonSet, and no others', async (t) => {
  t.match(agentPodOf(pod('bramble-x', 'True')), { name: 'bramble-x', nodeName: 'pi-2', isReady: true })
  t.match(agentPodOf(pod('bramble-x', 'False', 'CrashLoopBackOff')), { isReady: false, reason: 'CrashLoopBackOff' })
  const { metadata, spec, status } = pod('x', 'True')
  t.equal(agentPodOf({ metadata: { ...metadata, labels: {} }, spec, status } as never), undefined)
  t.equal(agentPodOf({ metadata, spec: { ...spec, hostNetwork: false }, status } as never), undefined, 'any pod')
  const uninstall = { ...spec, containers: [{ name: 'clean' }] }
  t.equal(agentPodOf({ metadata, spec: uninstall, status } as never), undefined, 'the one that uninstalls')
  const waiting = { ...spec, nodeName: undefined }
  t.equal(agentPodOf({ metadata, spec: waiting, status } as never), undefined, 'one that has no node yet')
})

t.test('both are heard of as they change, and after a list in which they are gone', async (t) => {
  const double = await ApiDouble.start()
  const [NODES, PODS] = ['/api/v1/nodes', '/api/v1/pods']
  double.objects.put(NODES, node('pi-2', 'True'))
  double.objects.put(PODS, pod('bramble-x', 'True'))
  const client = new ApiClient({ server: double.url, skipsTlsVerify: false })
  const source = new KubernetesSource(client, 'pi-1', { firstMs: 1, mostMs: 20 })
  t.teardown(async () => {
    await source.close()
    await double.close()
  })
  const { board } = source
  t.equal(board.agentPods(), undefined, 'nothing is known yet')
  source.start(() => {})
  source.workloads.start(() => {})
  await until('it watches', () => double.watches.size === 4)
  t.match(board.agentPods(), [{ name: 'bramble-x', isReady: true }])
  t.equal(board.unready().size, 0)
  double.objects.put(NODES, node('pi-2', 'Unknown'))
  double.objects.put(PODS, pod('bramble-x', 'False'))
  await until('both are heard', () => board.unready().has('pi-2') && board.agentPods()?.[0]?.isReady === false)
  double.objects.put(NODES, node('pi-2', 'True'))
  double.objects.delete(PODS, 'kube-system/bramble-x')
  await until('and that it is over', () => board.unready().size === 0 && board.agentPods()?.length === 0)
  double.objects.put(PODS, pod('bramble-y', 'True'))
  await until('the next one is heard of', () => board.agentPods()?.length === 1)
  double.fault = () => ({ kind: 'reset' })
  double.disconnect()
  double.objects.delete(PODS, 'kube-system/bramble-y')
  double.compact()
  double.fault = () => undefined
  await until('a list does without it', () => board.agentPods()?.length === 0)
})
