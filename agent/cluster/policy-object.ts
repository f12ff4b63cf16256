import { isDnsLabel, isDnsSubdomain } from './names.ts'
import type { FieldProblem, Policy } from './policy.ts'
import { Field, isMapping, listed, Problems, quote } from './policy-fields.ts'

/** `audit`: what the policy would drop is counted, and passes. */
const MODE_ANNOTATION = 'bramble.dev/mode'

export interface ParsedPolicy {
  readonly policy: Policy
  /** Of many the first few, and how many more there are. */
  readonly problems: readonly FieldProblem[]
}

/** Not even whom a policy is for can be told; the message names the field and what to write there. */
export class PolicyObjectError extends Error {
  override readonly name = 'PolicyObjectError'
  readonly code = 'POLICY_OBJECT' as const
}

export interface PolicyObject {
  /** undefined where it says none. */
  readonly namespace: string | undefined
  readonly name: string
  readonly isAudit: boolean
  /** A mapping, or absent. */
  readonly spec: Field
  readonly problems: Problems
}

/** What policies of both APIs have alike. @throws PolicyObjectError */
export function parsePolicyObject(object: unknown, apiVersion: string, kind: string): PolicyObject {
  if (!isMapping(object)) throw new PolicyObjectError(`the object is ${quote(object)}; a mapping is expected`)
  if (object.kind !== kind || object.apiVersion !== apiVersion)
    throw new PolicyObjectError(
      `apiVersion ${quote(object.apiVersion)}, kind ${quote(object.kind)}: expected ${apiVersion}, ${kind}`,
    )
  const problems = new Problems()
  const root = new Field(object, '', problems, 'it is passed over')
  root.hasOnly(['apiVersion', 'kind', 'metadata', 'spec', 'status'])
  const [metadata, spec] = [root.at('metadata'), root.at('spec')]
  const [name, namespace] = [metadata.at('name').value, metadata.at('namespace').value]
  if (!isMapping(metadata.value))
    throw new PolicyObjectError(`metadata is ${quote(metadata.value)}; a mapping with the name is expected`)
  if (!isDnsSubdomain(name))
    throw new PolicyObjectError(`metadata.name is ${quote(name)}; letters a to z, digits, "-" and "." are expected`)
  if (namespace !== undefined && !isDnsLabel(namespace))
    throw new PolicyObjectError(
      `metadata.namespace is ${quote(namespace)}; letters a to z, digits and "-" are expected`,
    )
  if (!spec.isAbsent && !isMapping(spec.value))
    throw new PolicyObjectError(`spec is ${quote(spec.value)}; a mapping is expected`)
  return { namespace, name, isAudit: isAudit(metadata.at('annotations')), spec, problems }
}

/**
 * Reads a part without which a policy is for nobody or for the wrong ones.
 * @throws PolicyObjectError with the first that is wrong
 */
export function parseSubject<T>(field: Field, parse: (field: Field) => T | undefined): T {
  const problems = new Problems()
  const subject = parse(new Field(field.value, field.path, problems, 'whom the policy is for cannot be told'))
  const [first] = problems.list
  if (first) throw new PolicyObjectError(`${first.field}: ${first.reason}`)
  if (subject === undefined) throw new PolicyObjectError(`${field.path}: whom the policy is for cannot be told`)
  return subject
}

/** The only one of these keys that a mapping has. @returns undefined, having told it, where that is not so */
export function onlyKey<K extends string>(field: Field, keys: readonly K[]): K | undefined {
  if (!field.hasOnly(keys)) return undefined
  const present = keys.filter((key) => !field.at(key).isAbsent)
  if (present.length === 1) return present[0]
  return field.wrong(
    present.length === 0 ? 'it is empty' : `it has ${present.join(' and ')}`,
    `write one of ${listed(keys)}`,
  )
}

function isAudit(annotations: Field): boolean {
  const mode = annotations.at(MODE_ANNOTATION).otherwise('the policy is enforced')
  if (!mode.isAbsent && mode.value !== 'audit')
    mode.wrong(`${quote(mode.value)} is no mode`, 'write audit, or take it away')
  return mode.value === 'audit'
}
