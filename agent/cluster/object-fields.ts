import type { Labels } from './policy.ts'

/** An object of Kubernetes cannot be used; the message names the field and what to write there. */
export class ObjectError extends Error {
  override readonly name = 'ObjectError'
  readonly code = 'OBJECT' as const
}

export type Fields = Readonly<Record<string, unknown>>

/** What every object has in front. `metadata` has a name that is one. @throws ObjectError */
export function metadataOf(object: unknown, apiVersion: string, kind: string): Fields & { readonly name: string } {
  const { apiVersion: itsVersion, kind: itsKind, metadata } = fieldsOf(object, 'the object')
  if (itsVersion !== apiVersion || itsKind !== kind)
    throw new ObjectError(`apiVersion ${quote(itsVersion)}, kind ${quote(itsKind)}: expected ${apiVersion}, ${kind}`)
  const fields = fieldsOf(metadata, 'metadata')
  return { ...fields, name: dnsName(fields.name, 'metadata.name') }
}

/** RFC 1123, as Kubernetes wants most names. */
export function isDnsName(text: string): boolean {
  return /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(text)
}

/** @throws ObjectError */
export function dnsName(value: unknown, path: string): string {
  if (typeof value === 'string' && isDnsName(value)) return value
  throw new ObjectError(`${path} is ${quote(value)}; small letters, digits, "-" and "." are expected`)
}

/** A mapping that has to be there. @throws ObjectError */
export function fieldsOf(value: unknown, path: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields
  throw new ObjectError(`${path} is ${quote(value)}; a mapping is expected`)
}

/** One that need not. @throws ObjectError */
export function optionalFields(value: unknown, path: string): Fields {
  return value === undefined || value === null ? {} : fieldsOf(value, path)
}

/** Absent: empty. @throws ObjectError */
export function listOf(value: unknown, path: string): readonly unknown[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) throw new ObjectError(`${path} is ${quote(value)}; a list is expected`)
  return value
}

/** Absent: empty. @throws ObjectError */
export function textOf(value: unknown, path: string): string {
  if (value === undefined || value === null) return ''
  if (typeof value !== 'string') throw new ObjectError(`${path} is ${quote(value)}; text is expected: put it in quotes`)
  return value
}

/** Absent: none. A value of null is an empty one, as for the API server. @throws ObjectError */
export function labelsOf(value: unknown, path = 'metadata.labels'): Labels {
  const labels = optionalFields(value, path)
  const texts = Object.entries(labels).map(([key, label]) => [key, textOf(label, `${path}["${key}"]`)] as const)
  return Object.fromEntries(texts)
}

/** For messages: what was found, on one line that is not too long. */
export function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? 'missing'
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`
}
