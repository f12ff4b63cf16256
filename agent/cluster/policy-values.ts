import { parseRange } from './address-ranges.ts'
import type { AddressRange } from './policy.ts'
import { type Field, quote } from './policy-fields.ts'

/** @returns undefined, having told it, where it is none */
export function parseCidrField(field: Field): AddressRange | undefined {
  const range = typeof field.value === 'string' ? parseRange(field.value) : undefined
  return range ?? field.wrong(`${quote(field.value)} is no CIDR`, 'write it like 10.42.0.0/24 or fd42::/64')
}

/** @returns undefined, having told it, where it is none */
export function parsePortNumber(field: Field): number | undefined {
  const { value } = field
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535) return value
  return field.wrong(
    `${quote(value)} is no port`,
    typeof value === 'string' && /^\d+$/.test(value)
      ? 'write the number without quotes'
      : 'write a number from 1 to 65535, or the name of a port',
  )
}
