import { existsSync, readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeNetns, run } from '../test/kernel/scratch.ts'
import { type Agent, startAgent } from './agent.ts'
import { compile } from './compile.ts'
import { makePods, type Pod } from './pods.ts'

/** What every measurement needs: the programs, two nodes side by side, and pods on each. */
export interface Lab {
  readonly programs: { spawn: string; answer: string; wirePod: string; traffic: string; shim: string; agent: string }
  /** The peers' node: a network namespace like ours, so that neither side sees the other's links and routes. */
  readonly peerNode: string
  readonly ourPods: readonly Pod[]
  readonly peerPods: readonly Pod[]
  /** How often bursts are repeated. */
  readonly rounds: number
  /**
   * Runs `work` with an agent of its own, and adds what that agent wrote to disks to `diskBytes`.
   * @param node the network namespace that is its node; the one of the bench where none is given
   */
  withAgent<T>(options: readonly string[], work: (agent: Agent) => Promise<T>, node?: string): Promise<T>
  readonly diskBytes: number[]
}

/** As many pods as a kubelet takes by default. */
export const PODS = 110

/** Call it inside a scratch node. @param dist the folder that `make build` filled */
export async function buildLab(dist: string, rounds: number): Promise<Lab> {
  const [shim, agent] = [`${dist}/bin/bramble`, `${dist}/bin/bramble-agent`]
  for (const program of [shim, agent])
    if (!existsSync(program)) throw new Error(`${program} is missing: run make build`)
  const programs = { ...(await compile()), shim, agent }
  const peerNode = await makeNetns('peer-node')
  await run('ip', '-netns', 'peer-node', 'link', 'set', 'lo', 'up')
  const diskBytes: number[] = []
  return {
    programs,
    peerNode,
    ourPods: await makePods('our', PODS),
    peerPods: await makePods('peer', PODS),
    rounds,
    diskBytes,
    async withAgent(options, work, node) {
      const agent = await startAgent(programs.agent, options, node ? { node } : {})
      try {
        const result = await work(agent)
        diskBytes.push(agent.diskBytes())
        return result
      } catch (error) {
        throw new Error(`The agent's last words: ${agent.said()}`, { cause: error })
      } finally {
        await agent.stop()
      }
    },
  }
}

/** Waits until only `count` links of ours are left: a DEL answers before its link is gone, and links go in batches. */
export async function untilLinksLeft(count: number): Promise<void> {
  const startedMs = performance.now()
  while (ourLinks() > count) {
    if (performance.now() - startedMs > 30_000) throw new Error(`${ourLinks()} links are left after 30 s, not ${count}`)
    await sleep(2)
  }
}

function ourLinks(): number {
  return readdirSync('/sys/class/net').filter((name) => name.startsWith('brm')).length
}
