import t from 'tap'
import { PolicyLab } from './lab.ts'
import { flood, listenIn } from './sneak.ts'

/** Hard case 1: a pod starts under an existing deny. */

const PODS = 200
/** Enough to see that without a policy packets do get through. */
const OPEN_PODS = 20
const AT_ONCE = 8

const lab = await PolicyLab.start([{ name: 'n1', number: 1, lan: 'a' }])
const attacker = await lab.addPod({ namespace: 'outside', name: 'attacker' })

/** Starts pods while the attacker calls every address that they may get, and they call the attacker from before they are wired. */
async function startUnderFire(namespace: string, pods: number): Promise<{ in: number; out: number }> {
  const names = Array.from({ length: pods }, (_, index) => `p${index}`)
  const netns = await lab.makePodNetns(namespace, names)
  const targets = Array.from({ length: 250 }, (_, index) => `10.42.1.${index + 1}`).filter(
    (address) => address !== attacker.addresses[0],
  )
  const incoming = await listenIn(netns)
  const outgoing = await listenIn([attacker.netns])
  const attack = await flood(targets.map((address) => ({ netns: attacker.netns, address })))
  const breakout = await flood(netns.flatMap((name) => attacker.addresses.map((address) => ({ netns: name, address }))))
  const queue = [...names.entries()]
  const worker = async () => {
    for (let next = queue.shift(); next; next = queue.shift())
      await lab.addPod({ namespace, name: next[1], netns: netns[next[0]] as string })
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  await attack()
  await breakout()
  const heard = { in: await incoming(), out: await outgoing() }
  await lab.deletePods(namespace)
  return heard
}

t.test('not one packet reaches or leaves a pod that starts under a policy that denies it', async (t) => {
  lab.put({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { namespace: 'closed', name: 'deny-all' },
    spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'] },
  })
  await lab.settled()
  t.same(await startUnderFire('closed', PODS), { in: 0, out: 0 })
})

t.test('and without the policy they do: the test would see them', async (t) => {
  const { in: incoming, out } = await startUnderFire('open', OPEN_PODS)
  t.ok(incoming > 0 && out > 0, `${incoming} in, ${out} out`)
})

t.test('the agent ends as it was told', async (t) => {
  await lab.stop()
  t.pass()
})
