import { apply, get, kubectl, until } from './kubectl.ts'
import { IMAGE } from './pods.ts'

const NAME = 'bramble-trial-witness'
const IN = ['-n', 'kube-system'] as const
/** Mounted as they are, with what others mount below them. */
const FOLDERS = ['/opt/cni/bin', '/etc/cni/net.d', '/run']
const LOOK = [
  'ls /sys/class/net | grep -E "^(brm|bramble)"',
  'nft list tables | grep bramble',
  'find /host/opt/cni/bin /host/etc/cni/net.d /host/run/bramble /host/run/udev/rules.d /host/run/systemd -name "*bramble*" -type f',
  'ip route show table all | grep -E "proto 98|dev (brm|bramble)"',
  'true', // whatever the last one found
].join('; ')

/** What is left of Bramble on each node, in its kernel and its folders, line by line; empty is good. */
export async function leftovers(nodeCount: number): Promise<string[]> {
  await apply(witness())
  let names: string[] = []
  await until('a witness runs on each node', async () => (names = await running()).length === nodeCount)
  const found = await Promise.all(names.map((name) => kubectl(['exec', ...IN, name, '--', '/bin/sh', '-c', LOOK])))
  await kubectl(['delete', 'daemonset', NAME, ...IN, '--timeout=60s'])
  return found.flatMap((text) => text.split('\n')).filter((line) => line !== '')
}

async function running(): Promise<string[]> {
  const { items } = await get('pods', ...IN, '-l', `app=${NAME}`)
  return items
    .filter(({ status }: { status: { phase: string } }) => status.phase === 'Running')
    .map(({ metadata }: { metadata: { name: string } }) => metadata.name)
}

/** In the network of the node, and allowed to read its tables; a node without a pod network runs it, too. */
function witness(): object {
  const labels = { app: NAME }
  const volumes = FOLDERS.map((path) => ({ name: path.slice(1).replaceAll(/[/.]/g, '-'), hostPath: { path } }))
  const container = {
    ...{ name: 'witness', image: IMAGE, imagePullPolicy: 'IfNotPresent' },
    command: ['/bin/sh', '-c', 'sleep 600'],
    securityContext: { capabilities: { add: ['NET_ADMIN'] } },
    volumeMounts: volumes.map(({ name, hostPath }) => ({ name, mountPath: `/host${hostPath.path}`, readOnly: true })),
  }
  const spec = {
    ...{ hostNetwork: true, terminationGracePeriodSeconds: 0, tolerations: [{ operator: 'Exists' }] },
    ...{ containers: [container], volumes },
  }
  return {
    ...{ apiVersion: 'apps/v1', kind: 'DaemonSet', metadata: { name: NAME, namespace: 'kube-system' } },
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
  }
}
