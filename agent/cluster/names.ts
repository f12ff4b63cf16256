/**
 * Names as the Kubernetes API takes them (staging/src/k8s.io/apimachinery/pkg/util/validation/validation.go). Each is
 * measured before it is matched: some of these patterns take long over a long text.
 */

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const QUALIFIED_NAME = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/

/** RFC 1123: of a namespace. */
export function isDnsLabel(value: unknown): value is string {
  return isText(value, 63) && DNS_LABEL.test(value)
}

/** RFC 1123: of most objects. */
export function isDnsSubdomain(value: unknown): value is string {
  return isText(value, 253) && DNS_SUBDOMAIN.test(value)
}

/** `app`, `example.com/app` */
export function isLabelKey(value: unknown): value is string {
  if (!isText(value, 253 + 1 + 63)) return false
  const slash = value.indexOf('/')
  const name = value.slice(slash + 1)
  return isText(name, 63) && QUALIFIED_NAME.test(name) && (slash < 0 || isDnsSubdomain(value.slice(0, slash)))
}

export function isLabelValue(value: unknown): value is string {
  return value === '' || (isText(value, 63) && QUALIFIED_NAME.test(value))
}

/** RFC 6335, section 5.1: lower case letters, at least one of them, and digits, `-` inside and never two of it. */
export function isPortName(value: unknown): value is string {
  return (
    isText(value, 15) && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(value) && /[a-z]/.test(value) && !value.includes('--')
  )
}

function isText(value: unknown, mostLength: number): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= mostLength
}
