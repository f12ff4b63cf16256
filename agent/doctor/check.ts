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
  /** Pure. @returns why nothing found would not mean that all is well; undefined where it does */
  readonly doubt?: (facts: Facts) => string | undefined
}

/** Lets a check see no more than it says that it needs. */
export function check<Name extends keyof Facts>(one: {
  readonly name: string
  readonly symptom: string
  readonly needs: readonly Name[]
  readonly find: (facts: Pick<Facts, Name>) => readonly Finding[]
  readonly doubt?: (facts: Pick<Facts, Name>) => string | undefined
}): Check {
  return one
}

export interface Diagnosis {
  readonly findings: readonly (Finding & { readonly check: string })[]
  /** The names of the checks that found nothing. */
  readonly good: readonly string[]
  /** Those that could not be made, or not to the end, and why. */
  readonly unknown: readonly { readonly check: string; readonly reason: string }[]
}

/** Pure. */
export function diagnose(gathered: GatheredFacts, checks: readonly Check[]): Diagnosis {
  const findings: (Finding & { readonly check: string })[] = []
  const good: string[] = []
  const unknown: { check: string; reason: string }[] = []
  for (const { name, needs, find, doubt } of checks) {
    const reason = needs.map((need) => gathered[need]).find((fact) => 'unknown' in fact)
    if (reason) {
      unknown.push({ check: name, reason: reason.unknown })
      continue
    }
    const values = needs.map((need) => [need, (gathered[need] as { readonly value: unknown }).value])
    const facts = Object.fromEntries(values)
    const found = find(facts)
    findings.push(...found.map((finding) => ({ check: name, ...finding })))
    const doubtful = doubt?.(facts)
    if (doubtful !== undefined) unknown.push({ check: name, reason: doubtful })
    else if (found.length === 0) good.push(name)
  }
  return { findings, good, unknown }
}
