import type { Facts } from '../../../../agent/doctor/facts.ts'
import type { Severity } from '../../../../agent/doctor/finding.ts'

/** One thing that is not well, and what the doctor is to say of it. */
export interface Case {
  readonly title: string
  readonly check: string
  /** What differs from HEALTHY. */
  readonly facts: Partial<Facts>
  /** Of each finding of this check: none where what looks like trouble is not. */
  readonly says: readonly (readonly [Severity, RegExp])[]
  /** Why all might not be well, though. */
  readonly unknown?: RegExp
  /** All of its commands, where they matter. */
  readonly commands?: readonly string[]
}
