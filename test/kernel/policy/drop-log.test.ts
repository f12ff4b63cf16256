import t from 'tap'
import { until } from '../agent.ts'
import { inside } from '../cluster.ts'
import { N1, PolicyLab } from './lab.ts'
import { probe } from './probe.ts'
import { flood } from './sneak.ts'

/** What the agent tells of drops, with a real agent and kernel. */

const lab = await PolicyLab.start([N1])
t.teardown(() => lab.stop())
lab.put({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { namespace: 'closed', name: 'all' },
  spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'] },
})
const noisy = await lab.addPod({ namespace: 'closed', name: 'noisy' })
const quiet = await lab.addPod({ namespace: 'closed', name: 'quiet' })
const victim = await lab.addPod({ namespace: 'closed', name: 'victim' })
const stranger = await lab.addPod({ namespace: 'open', name: 'stranger' })
await lab.settled()

const told = () =>
  (lab.agents[0]?.log ?? []) as unknown as { msg: string; direction: string; from: string; to: string }[]
const isTold = (direction: string, from: string, to: string) =>
  told().some((one) => one.direction === direction && one.from === `pod ${from}` && one.to === `pod ${to}`)

t.test('a pod that is flooded, and one that floods, hide no other of the same policy', async (t) => {
  const ends = [
    await flood(victim.addresses.map((address) => ({ netns: stranger.netns, address }))),
    await flood(stranger.addresses.map((address) => ({ netns: noisy.netns, address }))),
  ]
  t.teardown(() => Promise.all(ends.map((end) => end())))
  await until('the flood is told of', () => isTold('ingress', 'open/stranger', 'closed/victim'))
  const call = (from: typeof quiet, [address = '']: readonly string[]) => ({
    ...{ what: 'a call', netns: from.netns, address, protocol: 'tcp' as const, port: 80, expected: 'closed' as const },
  })
  // A second has so many lines; who calls again is told of in the next.
  await until('what came to the quiet one, and what went out of it', async () => {
    await probe([call(stranger, quiet.addresses), call(quiet, stranger.addresses)])
    return isTold('ingress', 'open/stranger', 'closed/quiet') && isTold('egress', 'closed/quiet', 'open/stranger')
  })
  for (const end of ends) t.ok((await end()) > 0)
  const { stdout } = await inside('n1', 'nft', 'list', 'set', 'inet', 'bramble-policy', 'told-in4')
  t.match(stdout, victim.addresses[0] ?? 'none')
  const lines = told().filter(({ direction, to }) => direction === 'ingress' && to === 'pod closed/victim')
  t.ok(lines.length <= 2, 'of each family once in a minute')
})
