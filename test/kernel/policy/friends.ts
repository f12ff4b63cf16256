import { until } from '../agent.ts'
import { inside } from '../cluster.ts'
import { type Manifest, N1, PolicyLab } from './lab.ts'

/** Lets friends in to the pods of the namespace closed, and nobody else. */
export const FRIENDS_ALONE = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { namespace: 'closed', name: 'friends-alone' },
  spec: { podSelector: {}, ingress: [{ from: [{ podSelector: { matchLabels: { is: 'friend' } } }] }] },
} satisfies Manifest

/** One node, on which a server lets friends alone in, a friend, and a stranger; the rules are in the kernel. */
export async function startFriends() {
  const lab = await PolicyLab.start([N1])
  lab.put(FRIENDS_ALONE)
  const server = await lab.addPod({ namespace: 'closed', name: 'server', labels: { is: 'server' } })
  const friend = await lab.addPod({ namespace: 'closed', name: 'friend', labels: { is: 'friend' } })
  const stranger = await lab.addPod({ namespace: 'open', name: 'stranger' })
  await until('the friend may', async () => {
    const table = await tableOfPolicies()
    return table.includes('pods4-') && table.includes(friend.addresses[0] ?? '')
  })
  return { lab, server, friend, stranger }
}

/** What is the same in any order (who came later is listed later), and whatever was counted; '' where there is no table. */
export async function tableOfPolicies(): Promise<string> {
  const { stdout } = await inside(N1.name, 'nft', 'list', 'table', 'inet', 'bramble-policy')
  const lines = stdout.replaceAll(/packets \d+ bytes \d+/g, '').split(/[\n,]/)
  return lines
    .map((line) => line.trim())
    .filter((line) => !/ expires /.test(line)) // who was told of lately
    .sort()
    .join('\n')
}
