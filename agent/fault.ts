/**
 * Places where a test may kill the agent, as a power cut or the OOM killer would: BRMTEST_FAULT names one. The bundle
 * is built without (its build defines BRMTEST_FAULT as undefined), so nothing of this reaches a node.
 */
export const FAULT_POINTS = [
  'add:reserved',
  'add:admitted',
  'add:published',
  'add:created',
  'add:entered',
  'add:host-wired',
  'add:wired',
  'add:recorded',
  'add:answered',
  'del:started',
  'del:unrouted',
  'del:unruled',
  'del:released',
  'del:withdrawn',
  'del:answered',
  'del:removing',
  'del:removed',
  'recover:listed',
  'recover:adopted',
  'recover:unrouted',
  'recover:condemned',
  'recover:removed',
  'pending:deleted',
  'pending:forgotten',
] as const

export type FaultPoint = (typeof FAULT_POINTS)[number]

export function faultPoint(name: FaultPoint): void {
  if (process.env.BRMTEST_FAULT === name) process.kill(process.pid, 'SIGKILL')
}

/** For a boundary between two works that run side by side: where it is named, the first is done and the second is not begun. */
export async function faultPointAfter(name: FaultPoint, work: Promise<unknown>): Promise<void> {
  if (process.env.BRMTEST_FAULT !== name) return
  await work
  faultPoint(name)
}
