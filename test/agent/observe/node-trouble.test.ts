import t from 'tap'
import type { AgentPod } from '../../../agent/cluster/view.ts'
import { troubleOfNode } from '../../../agent/observe/node-trouble.ts'

const STATUS = {
  version: '0.1.0',
  pods: 12,
  mtuBytes: 1450,
  policies: 7,
  ways: {},
  usedPercent: 5,
  runsAs: 'pod' as const,
  problems: 0,
}
const SERVICE_STATUS = { ...STATUS, runsAs: undefined as never }
const POD: AgentPod = { namespace: 'net', name: 'bramble-x', nodeName: 'pi-2', isReady: true, isLeaving: false }
const WELL = { node: 'pi-2', unready: undefined, pods: [POD], status: STATUS }

t.test('a node is well when its cluster calls it Ready, and a pod of its agent', async (t) => {
  t.equal(troubleOfNode(WELL), undefined)
  const next = { ...POD, name: 'bramble-y', isReady: false, reason: 'ContainerCreating' }
  t.equal(troubleOfNode({ ...WELL, pods: [next, POD] }), undefined, 'the next one starts beside it')
  t.equal(
    troubleOfNode({
      ...WELL,
      pods: [
        { ...POD, isLeaving: true },
        { ...next, isReady: true },
      ],
    }),
    undefined,
  )
})

t.test('what is not known of pods tells nothing', async (t) => {
  t.equal(troubleOfNode({ ...WELL, pods: undefined }), undefined)
  t.equal(troubleOfNode({ ...WELL, pods: undefined, status: undefined }), undefined)
})

t.test('an agent that is a service of its node needs no pod', async (t) => {
  t.equal(troubleOfNode({ ...WELL, pods: [], status: SERVICE_STATUS }), undefined)
})

t.test('each trouble is one line that says what is wrong, what to do, and since when', async (t) => {
  const sinceMs = 1000
  const away = { isHeard: false, message: 'Kubelet stopped posting node status.', sinceMs }
  const unready = { isHeard: true, message: 'PLEG is not healthy', sinceMs }
  const pod = (change: Partial<AgentPod>) => ({ ...WELL, pods: [{ ...POD, isReady: false, ...change }] })
  const words = (text: string, since?: number) => ({ text, ...(since !== undefined && { sinceMs: since }) })
  t.same(
    [
      troubleOfNode({ ...WELL, unready: away }),
      troubleOfNode({ ...pod({ isLeaving: true }), unready: away }),
      troubleOfNode({ ...WELL, unready }),
      troubleOfNode({ ...WELL, unready: { isHeard: true, message: '' } }),
      troubleOfNode(pod({ sinceMs })),
      troubleOfNode({ ...pod({ reason: 'CrashLoopBackOff', sinceMs }), unready }),
      troubleOfNode(pod({ reason: 'ImagePullBackOff' })),
      troubleOfNode(pod({ isLeaving: true })),
      troubleOfNode({ ...WELL, pods: [] }),
      troubleOfNode({ ...WELL, pods: [], status: undefined }),
    ],
    [
      words(
        'the node is away: its kubelet is not heard; is it on, and on the network? on it: systemctl status kubelet (k3s: k3s-agent)',
        sinceMs,
      ),
      words(
        'the node is away: its kubelet is not heard; is it on, and on the network? on it: systemctl status kubelet (k3s: k3s-agent)',
        sinceMs,
      ),
      words('the node is NotReady: PLEG is not healthy; kubectl describe node pi-2', sinceMs),
      words('the node is NotReady; kubectl describe node pi-2'),
      words('its agent is not Ready; kubectl -n net logs bramble-x', sinceMs),
      words('its agent does not run: CrashLoopBackOff; kubectl -n net logs bramble-x --previous', sinceMs),
      words('its agent does not run: ImagePullBackOff; kubectl -n net describe pod bramble-x'),
      words('its agent ends, and no other is ready; kubectl -n net get pods -o wide'),
      words('no pod of the agent is on it any more; kubectl get daemonsets -A, kubectl describe node pi-2'),
      words(
        'no agent has ever run on it: no pod of its DaemonSet is there (kubectl get daemonsets -A, kubectl describe node pi-2); without one, on it: systemctl status bramble-agent',
      ),
    ],
  )
})
