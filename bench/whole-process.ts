import { setTimeout as sleep } from 'node:timers/promises'
import { alone } from './agent.ts'
import { type Lab, PODS, untilLinksLeft } from './lab.ts'
import { bramble, type Command, type Family, type Plugin, pluginJob, ptp } from './peers.ts'
import { type Pod, renew } from './pods.ts'
import { type Job, timeProcesses } from './processes.ts'
import { interleave } from './stats.ts'
import { type Row, ratioRow, valueRow } from './table.ts'

const AT_ONCE = 8

/** Long enough for links that were left to a batch: their removal holds the lock that the peer would wait for. */
const DEL_PAUSE_MS = 150
/** Long enough for processors and caches to turn to other things, as on a node where pods come one at a time. */
const COLD_PAUSE_MS = 30

interface Side {
  readonly plugin: Plugin
  readonly pods: readonly Pod[]
}

/** What a container runtime waits for: the plugin as a process, from its start to its end. */
export function wholeProcess(lab: Lab, family: Family): Promise<Row[]> {
  return lab.withAgent(alone(family), async (agent) => {
    const ours = { plugin: bramble(lab.programs.shim, agent.socket), pods: lab.ourPods }
    const theirs = { plugin: ptp(family, lab.peerNode), pods: lab.peerPods }
    return [...(await oneByOne(lab, family, ours, theirs)), ...(await bursts(lab, family, ours, theirs))]
  })
}

async function oneByOne(lab: Lab, family: Family, ours: Side, theirs: Side): Promise<Row[]> {
  const coldAdd = await takeTurns(lab, ours, theirs, 'ADD', COLD_PAUSE_MS)
  const del = await takeTurns(lab, ours, theirs, 'DEL', DEL_PAUSE_MS)
  const add = { ours: [] as number[], theirs: [] as number[] }
  for (let round = 0; round < lab.rounds; round++) {
    const [mine, peers] = [fresh(ours), fresh(theirs)]
    const ms = await takeTurns(lab, mine, peers, 'ADD', 0)
    add.ours.push(...ms.ours)
    add.theirs.push(...ms.theirs)
    await burst(lab, mine, 'DEL')
    await burst(lab, peers, 'DEL')
    await untilLinksLeft(0)
  }
  const name = theirs.plugin.name
  return [
    ratioRow(`ADD, whole process, ${family}`, 'ms', add.ours, { name, samples: add.theirs }, 0.3),
    ratioRow(`… the first ${PODS} of an agent, ${COLD_PAUSE_MS} ms apart`, 'ms', coldAdd.ours, {
      name,
      samples: coldAdd.theirs,
    }),
    ratioRow(`DEL, whole process, ${family}`, 'ms', del.ours, { name, samples: del.theirs }, 0.12),
  ]
}

/** One at a time: ours, theirs, ours, theirs … */
async function takeTurns(lab: Lab, ours: Side, theirs: Side, command: Command, pauseMs: number) {
  const turns = interleave(jobs(ours, command), jobs(theirs, command))
  const { ms } = await timeProcesses(lab.programs.spawn, turns, { atOnce: 1, pauseMs })
  return { ours: ms.filter((_, i) => i % 2 === 0), theirs: ms.filter((_, i) => i % 2 === 1) }
}

async function bursts(lab: Lab, family: Family, ours: Side, theirs: Side): Promise<Row[]> {
  const wallMs = { add: [] as number[], addPeer: [] as number[], del: [] as number[], delPeer: [] as number[] }
  const goneMs: number[] = []
  for (let round = 0; round < lab.rounds; round++) {
    const [mine, peers] = [fresh(ours), fresh(theirs)]
    wallMs.add.push(await burst(lab, mine, 'ADD'))
    wallMs.addPeer.push(await burst(lab, peers, 'ADD'))
    const answeredMs = await burst(lab, mine, 'DEL')
    const answeredAt = performance.now()
    await untilLinksLeft(0)
    wallMs.del.push(answeredMs)
    goneMs.push(answeredMs + performance.now() - answeredAt)
    wallMs.delPeer.push(await burst(lab, peers, 'DEL'))
  }
  const name = theirs.plugin.name
  const what = (command: Command) => `${PODS} ${command}s, ${AT_ONCE} at a time, wall, ${family}`
  return [
    ratioRow(what('ADD'), 'ms', wallMs.add, { name, samples: wallMs.addPeer }, 0.3),
    ratioRow(what('DEL'), 'ms', wallMs.del, { name, samples: wallMs.delPeer }, 0.08),
    ratioRow(`… until the last link is gone`, 'ms', goneMs, { name, samples: wallMs.delPeer }),
  ]
}

/** What starting that many processes costs when they do nothing: no plugin can be below it. */
export async function burstFloor(lab: Lab): Promise<Row> {
  const nothing: Job = { input: '/dev/null', program: '/bin/true', env: {} }
  const walls: number[] = []
  for (let round = 0; round < lab.rounds; round++)
    walls.push(
      (await timeProcesses(lab.programs.spawn, Array(PODS).fill(nothing), { atOnce: AT_ONCE, pauseMs: 0 })).wallMs,
    )
  return valueRow(`${PODS} times /bin/true, ${AT_ONCE} at a time, wall`, 'ms', walls)
}

async function burst(lab: Lab, side: Side, command: Command): Promise<number> {
  const { wallMs } = await timeProcesses(lab.programs.spawn, jobs(side, command), { atOnce: AT_ONCE, pauseMs: 0 })
  if (command === 'ADD') await sleep(200) // what the kernel still has to do for new links is nobody's DEL
  return wallMs
}

function jobs({ plugin, pods }: Side, command: Command): Job[] {
  return pods.map((pod) => pluginJob(plugin, command, pod))
}

function fresh(side: Side): Side {
  return { ...side, pods: renew(side.pods) }
}
