/**
 * Places where a test may kill the agent, as a power cut or the OOM killer would: BRMTEST_FAULT names one. The bundle
 * is built without (its build defines BRMTEST_FAULT as undefined), so nothing of this reaches a node.
 */
export const FAULT_POINTS = [
  'add:reserved',
  'add:created',
  'add:wired',
  'add:recorded',
  'add:answered',
  'del:started',
  'del:unrouted',
  'del:released',
  'del:answered',
  'del:removed',
] as const

export type FaultPoint = (typeof FAULT_POINTS)[number]

export function faultPoint(name: FaultPoint): void {
  if (process.env.BRMTEST_FAULT === name) process.kill(process.pid, 'SIGKILL')
}
