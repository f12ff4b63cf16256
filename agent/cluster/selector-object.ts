import { isLabelKey, isLabelValue } from './names.ts'
import type { Requirement, Selector } from './policy.ts'
import { type Field, isMapping, listed, quote } from './policy-fields.ts'

const OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist'] as const

const EVERYTHING: Selector = { text: '', requirements: [] }

/**
 * A metav1.LabelSelector, held to what the API server holds it to
 * (staging/src/k8s.io/apimachinery/pkg/apis/meta/v1/validation/validation.go). An absent one selects everything, as an
 * empty one does: whoever has it tell the two apart asks first.
 * @returns undefined, having told it, where any of it cannot be read: half a selector selects too much
 */
export function parseSelector(field: Field): Selector | undefined {
  if (field.isAbsent) return EVERYTHING
  if (!field.hasOnly(['matchLabels', 'matchExpressions'])) return undefined
  const labels = parseLabels(field.at('matchLabels'))
  const expressions = field.at('matchExpressions').items()?.map(parseExpression)
  if (!labels || !expressions) return undefined
  const requirements = expressions.filter((one) => one !== undefined)
  return requirements.length === expressions.length ? selector([...labels, ...requirements]) : undefined
}

/** In one order and without repetition, so that the text is the same for the same requirements. */
export function selector(requirements: readonly Requirement[]): Selector {
  const byText = new Map(
    requirements.map((one) => {
      const requirement = { ...one, values: [...new Set(one.values)].sort() }
      return [requirementText(requirement), requirement]
    }),
  )
  const texts = [...byText.keys()].sort()
  return { text: texts.join(','), requirements: texts.flatMap((text) => byText.get(text) ?? []) }
}

/** As `kubectl get -l` takes it. Keys and values have no comma, space or bracket in them. */
function requirementText({ key, operator, values }: Requirement): string {
  switch (operator) {
    case 'In':
      return values.length === 1 ? `${key}=${values[0]}` : `${key} in (${values.join(',')})`
    case 'NotIn':
      return values.length === 1 ? `${key}!=${values[0]}` : `${key} notin (${values.join(',')})`
    case 'Exists':
      return key
    case 'DoesNotExist':
      return `!${key}`
  }
}

function parseLabels(field: Field): Requirement[] | undefined {
  if (field.isAbsent) return []
  if (!isMapping(field.value))
    return field.wrong(`${quote(field.value)} is no mapping`, 'write labels and their values')
  const labels = Object.keys(field.value).map((key) => {
    const value = field.at(key)
    return isKey(value, key) && isValue(value) ? { key, operator: 'In' as const, values: [value.value] } : undefined
  })
  const requirements = labels.filter((one) => one !== undefined)
  return requirements.length === labels.length ? requirements : undefined
}

function parseExpression(field: Field): Requirement | undefined {
  if (!field.hasOnly(['key', 'operator', 'values'])) return undefined
  const [key, operator, values] = [field.at('key'), field.at('operator'), field.at('values').items()]
  const known = OPERATORS.find((one) => one === operator.value)
  if (!known) operator.wrong(`${quote(operator.value)} is no operator`, `write ${listed(OPERATORS)}`)
  if (!isKey(key, key.value) || !known || !values) return undefined
  const wantsValues = known === 'In' || known === 'NotIn'
  if (wantsValues && values.length === 0)
    return field.at('values').wrong(`${known} has no values`, 'write at least one')
  if (!wantsValues && values.length > 0)
    return field.at('values').wrong(`${known} has values`, 'take them away, or write In or NotIn')
  const valid = values.filter(isValue).map(({ value }) => value)
  return valid.length === values.length ? { key: key.value, operator: known, values: valid } : undefined
}

function isKey<T>(field: Field, key: T): key is T & string {
  if (isLabelKey(key)) return true
  field.wrong(
    `${quote(key)} is no key of a label`,
    'write letters, digits, "-", "_" and ".", as example.com/name or name',
  )
  return false
}

function isValue(field: Field): field is Field & { value: string } {
  if (isLabelValue(field.value)) return true
  field.wrong(
    `${quote(field.value)} is no value of a label`,
    'write at most 63 letters, digits, "-", "_" and ".", as text',
  )
  return false
}
