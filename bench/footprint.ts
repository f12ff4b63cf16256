import { setTimeout as sleep } from 'node:timers/promises'
import { type Agent, alone } from './agent.ts'
import { callAgentForAll } from './client.ts'
import { type Lab, PODS, untilLinksLeft } from './lab.ts'
import { makePods, type Pod, renew } from './pods.ts'
import { type Row, valueRow } from './table.ts'

const AT_ONCE = 8
const CHURN = 2000
/** The agent tidies up 5 s after the last call. */
const SETTLE_MS = 7000
const CHURN_PODS = 200

/** Memory after as many pods as a node takes, and what a long life adds to it. */
export async function footprint(lab: Lab): Promise<Row[]> {
  const churnPods = await makePods('churn', CHURN_PODS)
  return lab.withAgent(alone('dual-stack'), async (agent) => {
    const started = await settledRssMib(agent)
    const pods = renew(lab.ourPods)
    await callAgentForAll(agent.socket, 'ADD', pods, AT_ONCE)
    const full = await settledRssMib(agent)
    await churn(agent, churnPods)
    const busy = agent.rssMib()
    const later = await settledRssMib(agent)
    await churn(agent, churnPods)
    const latest = await settledRssMib(agent)
    await callAgentForAll(agent.socket, 'DEL', pods, AT_ONCE)
    await untilLinksLeft(0)
    return [
      valueRow('agent RSS when ready', 'MiB', [started]),
      valueRow(`agent RSS after ${PODS} pods`, 'MiB', [full], 80),
      valueRow(`agent RSS after ${CHURN} more ADDs and DELs`, 'MiB', [later]),
      valueRow('… at the moment of the last answer', 'MiB', [busy]),
      valueRow('… growth', '%', [(later / full - 1) * 100], 5),
      valueRow(`… growth over the next ${CHURN}`, '%', [(latest / later - 1) * 100]),
    ]
  })
}

async function churn(agent: Agent, pods: readonly Pod[]): Promise<void> {
  for (let done = 0; done < CHURN; done += pods.length) {
    const round = renew(pods)
    await callAgentForAll(agent.socket, 'ADD', round, AT_ONCE)
    await callAgentForAll(agent.socket, 'DEL', round, AT_ONCE)
    await untilLinksLeft(PODS)
  }
}

/** After some seconds without work: what the agent keeps, not what a burst needed for a moment. */
async function settledRssMib(agent: Agent): Promise<number> {
  await sleep(SETTLE_MS)
  return agent.rssMib()
}
