import { isStrictlyInside, subtract } from './address-ranges.ts'
import { isPortName } from './names.ts'
import {
  type AddressRange,
  DIRECTIONS,
  type Direction,
  type Peer,
  type PortMatch,
  PROTOCOLS,
  type Rule,
} from './policy.ts'
import { type Field, listed, quote } from './policy-fields.ts'
import { type ParsedPolicy, parsePolicyObject, parseSubject } from './policy-object.ts'
import { countHeld, FEWER_PAIRS, PAIRS_MAX } from './policy-size.ts'
import { parseCidrField, parsePortNumber } from './policy-values.ts'
import { parseSelector } from './selector-object.ts'

const POLICY_TYPES = { Ingress: 'ingress', Egress: 'egress' } as const
const PEERS_KEY = { ingress: 'from', egress: 'to' } as const

/**
 * A networking.k8s.io/v1 NetworkPolicy. Pure, and of anything at all. What cannot be done lets nothing through: a peer
 * matches nobody, a port no packet, a rule neither; the rest is done.
 * @throws PolicyObjectError
 */
export function parseNetworkPolicyObject(object: unknown): ParsedPolicy {
  const parsed = parsePolicyObject(object, 'networking.k8s.io/v1', 'NetworkPolicy')
  const { namespace = 'default', name, spec, isAudit, problems } = parsed
  const pods = parseSubject(spec.at('podSelector'), parseSelector)
  if (!spec.isAbsent) spec.hasOnly(['podSelector', 'policyTypes', 'ingress', 'egress'])
  const directions = parsePolicyTypes(spec)
  const rules = (direction: Direction) =>
    directions.includes(direction) && { [direction]: parseRules(spec.at(direction), direction, namespace) }
  const policy = {
    kind: 'NetworkPolicy' as const,
    namespace,
    name,
    tier: 'NetworkPolicy' as const,
    priority: 0,
    subject: { namespaces: namespace, pods },
    ...rules('ingress'),
    ...rules('egress'),
    isAudit,
  }
  return { policy, problems: problems.list }
}

/** Where none are written: ingress, and egress, too, where there are rules for it (pkg/apis/networking/v1/defaults.go). */
function parsePolicyTypes(spec: Field): readonly Direction[] {
  const types = spec.at('policyTypes').otherwise('the policy is for both directions').items()
  if (!types) return DIRECTIONS
  const egress = spec.at('egress')
  if (types.length === 0)
    return egress.isAbsent || (Array.isArray(egress.value) && egress.value.length === 0) ? ['ingress'] : DIRECTIONS
  const directions = types.map((type) => {
    if (type.value === 'Ingress' || type.value === 'Egress') return POLICY_TYPES[type.value]
    return type.wrong(`${quote(type.value)} is no policy type`, 'write Ingress or Egress')
  })
  return directions.includes(undefined) ? DIRECTIONS : directions.filter((one) => one !== undefined)
}

function parseRules(field: Field, direction: Direction, namespace: string): Rule[] {
  const items = field.otherwise('nothing is let through by it').items() ?? []
  const rules = items.slice(0, PAIRS_MAX + 1).map((rule) => ({
    path: rule.path,
    action: 'Accept' as const,
    ...parseRule(rule, direction, namespace),
    source: rule.value,
  }))
  const held = countHeld(rules, direction)
  items[held]
    ?.otherwise('it lets nothing through, nor do those behind it')
    .wrong(`with it the policy has more than ${PAIRS_MAX} pairs of a peer and a port`, FEWER_PAIRS)
  return rules.slice(0, held)
}

function parseRule(rule: Field, direction: Direction, namespace: string): Pick<Rule, 'peers' | 'ports'> {
  const peersKey = PEERS_KEY[direction]
  if (!rule.hasOnly([peersKey, 'ports'])) return { peers: [] }
  const peers = parseEach(rule.at(peersKey).otherwise('it matches nobody'), (peer) => parsePeer(peer, namespace))
  const ports = parseEach(rule.at('ports').otherwise('it matches no port'), parsePort)
  return { ...(peers && { peers }), ...(ports && { ports }) }
}

/** Those that can be done. @returns undefined where none are written, which means all */
function parseEach<T>(field: Field, parse: (item: Field) => T | undefined): T[] | undefined {
  const items = field.items()
  if (!items) return []
  return items.length === 0 ? undefined : items.map(parse).filter((one) => one !== undefined)
}

function parsePeer(peer: Field, namespace: string): Peer | undefined {
  if (!peer.hasOnly(['podSelector', 'namespaceSelector', 'ipBlock'])) return undefined
  const [podSelector, namespaceSelector, ipBlock] = [
    peer.at('podSelector'),
    peer.at('namespaceSelector'),
    peer.at('ipBlock'),
  ]
  const hasSelector = !podSelector.isAbsent || !namespaceSelector.isAbsent
  if (hasSelector === !ipBlock.isAbsent)
    return peer.wrong(
      hasSelector ? 'it has ipBlock beside selectors' : 'it is empty',
      'write podSelector, namespaceSelector or both of them, or ipBlock',
    )
  if (!hasSelector) {
    const ranges = parseIpBlock(ipBlock)
    return ranges && { kind: 'ranges', ranges }
  }
  const pods = parseSelector(podSelector)
  const namespaces = namespaceSelector.isAbsent ? namespace : parseSelector(namespaceSelector)
  return pods && namespaces !== undefined ? { kind: 'pods', selection: { namespaces, pods } } : undefined
}

function parseIpBlock(field: Field): readonly AddressRange[] | undefined {
  if (!field.hasOnly(['cidr', 'except'])) return undefined
  const [cidr, except] = [field.at('cidr'), field.at('except').items()]
  const range = parseCidrField(cidr)
  if (!range || !except) return undefined
  const exceptions = except.map((one) => {
    const exception = parseCidrField(one)
    if (!exception || isStrictlyInside(exception, range)) return exception
    return one.wrong(`${quote(one.value)} is not inside of ${quote(cidr.value)}`, 'write a smaller part of the cidr')
  })
  const read = exceptions.filter((one) => one !== undefined)
  return read.length === exceptions.length ? subtract(range, read) : undefined
}

/** A NetworkPolicyPort. */
function parsePort(field: Field): PortMatch | undefined {
  if (!field.hasOnly(['protocol', 'port', 'endPort'])) return undefined
  const [protocol, port, endPort] = [field.at('protocol'), field.at('port'), field.at('endPort')]
  const known = protocol.isAbsent ? 'TCP' : PROTOCOLS.find((one) => one === protocol.value)
  if (!known) return protocol.wrong(`${quote(protocol.value)} is no protocol`, `write ${listed(PROTOCOLS)}`)
  if (!endPort.isAbsent && typeof port.value !== 'number')
    return endPort.wrong('it stands without a port that is a number', 'write the first port as a number, too')
  if (port.isAbsent) return { protocol: known, first: 1, last: 65_535 }
  if (isPortName(port.value)) return { name: port.value, protocol: known }
  const first = parsePortNumber(port)
  const last = endPort.isAbsent ? first : parsePortNumber(endPort)
  if (first === undefined || last === undefined) return undefined
  if (last < first) return endPort.wrong(`${last} is less than port ${first}`, 'write the last port of the range')
  return { protocol: known, first, last }
}
