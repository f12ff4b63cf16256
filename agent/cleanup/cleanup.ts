import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { forwardingSettings } from '../forwarding.ts'
import { KernelError } from '../kernel/errors.ts'
import { Netlink } from '../kernel/netlink.ts'
import { LockedError, lockNode, lockStateDir } from '../lock.ts'
import { OptionError } from '../options.ts'
import { files, type Places, refuseSystemFolder } from './files.ts'
import { type FoundPodLink, podLinks, tunnelLinks } from './links.ts'
import type { CleanedObject, CleanupReport } from './report.ts'
import { routes, rules } from './routing.ts'
import type { Found, Step } from './step.ts'
import { tables } from './tables.ts'

export interface CleanupOptions extends Places {
  readonly isDryRun: boolean
  /** Also where pods lose their network by it. */
  readonly isForced: boolean
  /** What else goes: before anything else, and when all else is gone. */
  readonly before?: readonly Step[]
  readonly after?: readonly Step[]
}

/**
 * Takes away all that is ours on this node: first what carries packets, last the files. A refusal stops nothing; what
 * is there at the end is told, and not what was acknowledged. A dry run changes nothing, and may be beside an agent.
 * @throws LockedError while an agent runs; OptionError for a folder of the system, and when pods would lose
 * their network and nobody said `--force`
 */
export async function cleanUp(options: CleanupOptions): Promise<CleanupReport> {
  const { isDryRun, isForced, before = [], after = [] } = options
  refuseSystemFolder('--state-dir', options.stateDir)
  refuseSystemFolder('--socket', dirname(options.socket))
  if (!isDryRun) refuseWhileAgentRuns(options.stateDir)
  const netlink = new Netlink()
  try {
    const links = podLinks(netlink)
    const own: Step[] = [links, tunnelLinks(netlink), routes(netlink), rules(netlink), tables(), files(options)]
    const steps = [...before, ...own, ...after]
    const unknown: { kind: string; error: string }[] = []
    const plan: { step: Step; found: Found[] }[] = []
    let pods = 0
    for (const step of steps) {
      try {
        const found = await step.list()
        plan.push({ step, found })
        if (step === links) pods = usersOf(found as FoundPodLink[])
      } catch (error) {
        unknown.push({ kind: step.name, error: (error as Error).message })
      }
    }
    // A runtime does not look whether its pods still have their network, so nobody would make them anew: somebody who
    // follows a recipe on the wrong node must hear of it first.
    if (pods > 0 && !isDryRun && !isForced)
      throw new OptionError(
        `${pods === 1 ? 'one pod has its' : `${pods} pods have their`} network by Bramble and would lose it; remove them first, or say --force`,
      )
    const objects: CleanedObject[] = []
    for (const { step, found } of plan)
      objects.push(...(isDryRun ? found.map(({ text }) => ({ object: text })) : await takeAway(step, found)))
    return { isDryRun, objects, unknown, pods, settingsLeft: forwardingSettings() }
  } finally {
    netlink.close()
  }
}

/** @throws LockedError */
function refuseWhileAgentRuns(stateDir: string): void {
  try {
    lockNode()
    if (existsSync(join(stateDir, 'lock'))) lockStateDir(stateDir) // that would make it
  } catch (error) {
    if (!(error instanceof LockedError)) throw error
    throw new LockedError(
      'a bramble-agent is at work here, and would make anew what goes; stop it first, like: systemctl stop bramble-agent',
      { cause: error },
    )
  }
}

/** How many containers have a link that is in use; one may have several. */
function usersOf(links: readonly FoundPodLink[]): number {
  return new Set(links.flatMap(({ user }) => user ?? [])).size
}

async function takeAway(step: Step, found: readonly Found[]): Promise<CleanedObject[]> {
  if (found.length === 0) return []
  try {
    const errors = await step.remove(found)
    const left = new Set((await step.list()).map(({ text }) => text))
    return found.map(({ text }, index) => {
      if (!left.has(text)) return { object: text }
      return { object: text, error: reasonOf(errors[index] ?? new Error('it is there again; who makes it?')) }
    })
  } catch (error) {
    return found.map(({ text }) => ({ object: text, error: reasonOf(error as Error) }))
  }
}

/** A KernelError begins with its request, which the object's own name says already. */
function reasonOf(error: Error): string {
  return error instanceof KernelError ? error.message.replace(`${error.request}: `, '') : error.message
}
