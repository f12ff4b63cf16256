import t from 'tap'
import type { ClusterPod, Workloads } from '../../../agent/cluster/workloads.ts'
import { localPod } from '../../../agent/enforcement/local-pods.ts'
import type { Lease } from '../../../ipam/leases.ts'

const LEASE: Lease = {
  containerId: 'c'.repeat(64),
  ifname: 'eth0',
  network: 'bramble',
  pod: 'x/web',
  podUid: 'uid-1',
  addresses: ['10.42.0.5'],
}

function pod(name: string, uid: string): ClusterPod {
  return {
    ...{ namespace: 'x', name, uid, nodeName: 'n1', labels: {} },
    ...{ addresses: [], isHostNetwork: false, ports: [] },
  }
}

function cluster(pods: readonly ClusterPod[], namespaces: readonly string[] = ['x']): Workloads {
  return {
    pods: new Map(pods.map((one) => [`${one.namespace}/${one.name}`, one])),
    namespaces: new Map(namespaces.map((name) => [name, { name, labels: {} }])),
    policies: new Map(),
  }
}

const told = (workloads: Workloads | undefined) => ({ workloads, isComplete: false })

t.test('a pod is known when the cluster has it by name and uid, and its namespace', async (t) => {
  const web = pod('web', 'uid-1')
  for (const [workloads, isUnknown, what] of [
    [undefined, true, 'nothing has been told'],
    [cluster([]), true, 'no such pod'],
    [cluster([pod('web', 'uid-0')]), true, 'the last one of its name'],
    [cluster([web], []), true, 'nobody knows the labels of its namespace'],
    [cluster([web]), false, 'all of it'],
  ] as const)
    t.match(localPod(LEASE, told(workloads)), { pod: 'x/web', uid: 'uid-1', isUnknown }, what)
})

t.test('a source that is complete has nothing to be waited for', async (t) => {
  const known = localPod(LEASE, { workloads: cluster([], []), isComplete: true })
  t.match(known, { pod: 'x/web', uid: '', isUnknown: false })
})

t.test('a container that no Kubernetes has is not unknown', async (t) => {
  t.match(localPod({ ...LEASE, pod: '' }, told(undefined)), { pod: undefined, isUnknown: false })
})

t.test('a pod whose record cannot be read may be any one, and is known by its link', async (t) => {
  const found = { link: 'brm0123456789ab', mac: '02:00:00:00:00:01' }
  const unreadable: Lease = { ...LEASE, containerId: found.link, ifname: '?', pod: '', found }
  t.match(localPod(unreadable, told(cluster([]))), { ...found, pod: undefined, isUnknown: true })
  t.match(localPod(unreadable, { workloads: cluster([]), isComplete: true }), { ...found, isUnknown: false })
})

t.test('of a name that the kernel had no room for, the uid finds the rest', async (t) => {
  const name = 'web-'.repeat(50)
  const workloads = cluster([pod(`${name}other`, 'uid-2'), pod(`${name}0`, 'uid-1')])
  t.match(localPod({ ...LEASE, pod: `x/${name}` }, told(workloads)), { pod: `x/${name}0`, isUnknown: false })
  t.match(localPod(LEASE, told(workloads)), { pod: 'x/web', isUnknown: true }, 'a short one is whole')
})
