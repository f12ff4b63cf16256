import type { Facts, GatheredFacts } from './facts.ts'
import type { Finding } from './finding.ts'

/** One thing that the doctor looks at. */
export interface Check {
  /** `forward-drop` */
  readonly name: string
  /** What a person sees who has this trouble; docs/troubleshooting.md is made of these. */
  readonly symptom: string
  readonly needs: readonly (keyof Facts)[]
  /** Pure. Only what it needs is there. @returns nothing when all is well */
  readonly find: (facts: Facts) => readonly Finding[]
}

/** Lets a check see no more than it says that it needs. */
export function check<Name extends keyof Facts>(one: {
  readonly name: string
  readonly symptom: string
  readonly needs: readonly Name[]
  readonly find: (facts: Pick<Facts, Name>) => readonly Finding[]
}): Check {
  return one
}

export interface Diagnosis {
  readonly findings: readonly (Finding & { readonly check: string })[]
  /** The names of the checks that found nothing. */
  readonly good: readonly string[]
  /** Those that could not be made, and why. */
  readonly unknown: readonly { readonly check: string; readonly reason: string }[]
}

/** Pure. */
export function diagnose(gathered: GatheredFacts, checks: readonly Check[]): Diagnosis {
  const findings: (Finding & { readonly check: string })[] = []
  const good: string[] = []
  const unknown: { check: string; reason: string }[] = []
  for (const { name, needs, find } of checks) {
    const reason = needs.map((need) => gathered[need]).find((fact) => 'unknown' in fact)
    if (reason) {
      unknown.push({ check: name, reason: reason.unknown })
      continue
    }
    const values = needs.map((need) => [need, (gathered[need] as { readonly value: unknown }).value])
    const found = find(Object.fromEntries(values))
    findings.push(...found.map((finding) => ({ check: name, ...finding })))
    if (found.length === 0) good.push(name)
  }
  return { findings, good, unknown }
}
