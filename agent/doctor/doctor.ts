import { existsSync } from 'node:fs'
import { switchChecksumOffloadOff } from '../kernel/offload.ts'
import { putSysctl, writeSysctlsIn } from '../kernel/sysctl.ts'
import { type Diagnosis, diagnose } from './check.ts'
import { CHECKS } from './checks.ts'
import type { Ask } from './facts/agent.ts'
import type { Act } from './finding.ts'
import { gather } from './gather.ts'
import { Places } from './places.ts'

export interface Question {
  readonly ask: Ask
  /** The agent's. */
  readonly socket: string
  /** Of bramblectl. */
  readonly version: string
  /** Where files of the node are looked for first. */
  readonly root?: string | undefined
}

/** Looks at this node. Never throws: what cannot be looked at is named. */
export async function examine({ root, ...question }: Question): Promise<Diagnosis> {
  const places = root === undefined ? new Places() : new Places([root, '/'])
  return diagnose(await gather({ ...question, places }), CHECKS)
}

/** In the agent's pod /proc/sys is read-only, and the node's is mounted here (deploy/bramble.yaml). */
const MOUNTED_SYSCTLS = '/host/proc/sys/net'

/** @throws KernelError */
export async function carryOut(act: Act): Promise<void> {
  switch (act.kind) {
    case 'sysctl':
      if (existsSync(MOUNTED_SYSCTLS)) writeSysctlsIn(MOUNTED_SYSCTLS)
      putSysctl(act)
      return
    case 'offload':
      switchChecksumOffloadOff(act.link)
  }
}
