import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { run } from '../test/kernel/scratch.ts'
import { alone } from './agent.ts'
import { callAgent, callAgentForAll } from './client.ts'
import { type Lab, untilLinksLeft } from './lab.ts'
import { renew } from './pods.ts'
import { type Row, ratioRow } from './table.ts'

/** The group that wire-pod.c puts its links in. */
const WIRE_POD_GROUP = '4711'

/**
 * An ADD without the process around it, against the bare kernel work. Ours is measured by a client, from the request on
 * an open connection to the whole answer: the socket, the request's checks, the lease and its record are all in it.
 */
export function insideAgent(lab: Lab): Promise<Row[]> {
  return lab.withAgent(alone('dual-stack'), async (agent) => {
    const wirePod = startWirePod(lab)
    const ms = { ours: [] as number[], own: [] as number[], theirs: [] as number[] }
    for (let round = 0; round < lab.rounds; round++) {
      const pods = renew(lab.ourPods)
      agent.takeDurationsMs()
      for (const [i, pod] of pods.entries()) {
        ms.ours.push(await callAgent(agent.socket, 'ADD', pod))
        ms.theirs.push(await wirePod.wire(i + 1, lab.peerPods[i]?.netns ?? ''))
      }
      ms.own.push(...agent.takeDurationsMs())
      await callAgentForAll(agent.socket, 'DEL', pods, 8)
      await run('ip', '-netns', 'peer-node', 'link', 'delete', 'group', WIRE_POD_GROUP)
      await untilLinksLeft(0)
    }
    wirePod.end()
    const floor = { name: 'wire-pod.c', samples: ms.theirs }
    return [
      ratioRow('ADD inside the agent, dual-stack', 'ms', ms.ours, floor, 2.5),
      ratioRow('… by the clock in its log', 'ms', ms.own, floor),
    ]
  })
}

function startWirePod(lab: Lab) {
  const child = spawn('nsenter', [`--net=${lab.peerNode}`, lab.programs.wirePod], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  return {
    async wire(number: number, netns: string): Promise<number> {
      child.stdin.write(`${number} ${netns}\n`)
      const line = await lines.next()
      if (line.done) throw new Error(`wire-pod ended at ${netns}`)
      return Number(line.value) / 1000
    },
    end: () => child.stdin.end(),
  }
}
