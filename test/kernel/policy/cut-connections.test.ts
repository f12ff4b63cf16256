import t from 'tap'
import { sleep, until } from '../agent.ts'
import { inside } from '../cluster.ts'
import { Talk } from '../talk.ts'
import { type Manifest, N1, N2, PolicyLab } from './lab.ts'

/** A connection between pods of two nodes, whose policies are tightened and loosened. */

/** A node that would cut a connection because of what another one decides has done so by then. */
const CUT_WITHIN_MS = 500

const lab = await PolicyLab.start()
const client = await lab.addPod({ namespace: 'x', name: 'client', node: N1, labels: { is: 'client' } })
const server = await lab.addPod({ namespace: 'x', name: 'server', node: N2, labels: { is: 'server' } })

function policy(name: string, is: string, rules: object): Manifest {
  const spec = { podSelector: { matchLabels: { is } }, ...rules }
  return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: 'x', name }, spec }
}

const NO_CALLS = policy('no-calls', 'server', { policyTypes: ['Ingress'] })
const MAY_CALL = policy('may-call', 'client', { policyTypes: ['Egress'], egress: [{}] })

/** Packets of cut connections, on both nodes. */
async function dropped(): Promise<number> {
  const texts = await Promise.all(
    [N1, N2].map(({ name }) => inside(name, 'nft', 'list', 'counter', 'inet', 'bramble-policy', 'cut')),
  )
  return texts.reduce((sum, { stdout }) => sum + Number(/packets (\d+)/.exec(stdout)?.[1] ?? 0), 0)
}

/** Packets are sent, and neither end hears any. */
async function isSilent(talk: Talk): Promise<void> {
  await until('nothing is heard', async () => {
    const [before, heard] = [await dropped(), JSON.stringify(talk.heard)]
    await until('packets are dropped', async () => (await dropped()) >= before + 2)
    return JSON.stringify(talk.heard) === heard
  })
}

for (const protocol of ['udp', 'tcp'] as const)
  t.test(
    `${protocol}: what the policy of the called pod cut, and the caller's node did not, goes on when that policy is gone`,
    async (t) => {
      const talk = await Talk.start(protocol, client.netns, server.netns, server.addresses[0] ?? '')
      t.teardown(() => talk.end())
      lab.put(NO_CALLS)
      await isSilent(talk)
      lab.put(MAY_CALL)
      await lab.settled()
      await sleep(CUT_WITHIN_MS)
      await isSilent(talk)
      lab.remove(NO_CALLS)
      await talk.goesOn()
      t.pass('both hear each other again')
      lab.removeAllPolicies()
    },
  )

t.teardown(() => lab.stop())
