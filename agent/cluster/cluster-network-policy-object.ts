import { merge } from './address-ranges.ts'
import { isPortName } from './names.ts'
import type { AddressRange, Direction, Peer, PodSelection, PortMatch, Protocol, Rule } from './policy.ts'
import { type Field, listed, quote } from './policy-fields.ts'
import { onlyKey, type ParsedPolicy, PolicyObjectError, parsePolicyObject, parseSubject } from './policy-object.ts'
import { countHeld, FEWER_PAIRS, PAIRS_MAX } from './policy-size.ts'
import { parseCidrField, parsePortNumber } from './policy-values.ts'
import { parseSelector } from './selector-object.ts'

const CLUSTER_TIERS = ['Admin', 'Baseline'] as const
const ACTIONS = ['Accept', 'Deny', 'Pass'] as const
const PRIORITY_MAX = 1_000
const NAME_MAX_LENGTH = 100
const POD_PEERS = ['namespaces', 'pods'] as const
const PEERS = { ingress: POD_PEERS, egress: [...POD_PEERS, 'nodes', 'networks', 'domainNames'] } as const
const PEERS_KEY = { ingress: 'from', egress: 'to' } as const
const PROTOCOL_KEYS = { tcp: 'TCP', udp: 'UDP', sctp: 'SCTP' } as const satisfies Record<string, Protocol>

/**
 * A policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy. Pure, and of anything at all. A rule of which anything cannot
 * be done fails closed as that API asks: one that accepts matches nothing, any other one denies everything.
 * @throws PolicyObjectError where its subject or its place among the others cannot be told
 */
export function parseClusterNetworkPolicyObject(object: unknown): ParsedPolicy {
  const kind = 'ClusterNetworkPolicy' as const
  const { name, spec, isAudit, problems } = parsePolicyObject(object, 'policy.networking.k8s.io/v1alpha2', kind)
  const subject = parseSubject(spec.at('subject'), parsePods)
  const { tier, priority } = parsePlace(spec)
  spec.hasOnly(['tier', 'priority', 'subject', 'ingress', 'egress'])
  const policy = {
    kind,
    name,
    tier,
    priority,
    subject,
    ...parseRules(spec, 'ingress'),
    ...parseRules(spec, 'egress'),
    isAudit,
  }
  return { policy, problems: problems.list }
}

function parsePlace(spec: Field) {
  const [{ value: tierText }, { value: priority }] = [spec.at('tier'), spec.at('priority')]
  const tier = CLUSTER_TIERS.find((one) => one === tierText)
  if (!tier) throw new PolicyObjectError(`spec.tier is ${quote(tierText)}; ${listed(CLUSTER_TIERS)} is expected`)
  if (typeof priority !== 'number' || !Number.isInteger(priority) || priority < 0 || priority > PRIORITY_MAX)
    throw new PolicyObjectError(`spec.priority is ${quote(priority)}; a number from 0 to ${PRIORITY_MAX} is expected`)
  return { tier, priority }
}

/** All pods of some namespaces, or some of them: the subject, and the peers that are pods. */
function parsePods(field: Field): PodSelection | undefined {
  const key = onlyKey(field, POD_PEERS)
  if (key === undefined) return undefined
  const pods = field.at(key)
  if (key === 'pods') return parseNamespacedPod(pods)
  const namespaces = parseSelector(pods)
  return namespaces && { namespaces, pods: { text: '', requirements: [] } }
}

function parseNamespacedPod(field: Field): PodSelection | undefined {
  if (!field.hasOnly(['namespaceSelector', 'podSelector'])) return undefined
  const podSelector = field.at('podSelector')
  if (podSelector.isAbsent) return podSelector.wrong('it is missing', 'write {} for all pods of these namespaces')
  const [namespaces, pods] = [parseSelector(field.at('namespaceSelector')), parseSelector(podSelector)]
  return namespaces && pods && { namespaces, pods }
}

function parseRules(spec: Field, direction: Direction): Partial<Record<Direction, readonly Rule[]>> {
  const field = spec.at(direction).otherwise('everything is denied')
  if (field.isAbsent) return {}
  const items = field.items()
  const rules = items?.map((rule) => parseRule(rule, direction))
  if (!items || !rules) return { [direction]: [{ path: field.path, action: 'Deny', source: field.value }] }
  const held = countHeld(rules, direction)
  items[held]
    ?.otherwise('it and those behind it deny everything, or let nothing through')
    .wrong(`with it the policy has more than ${PAIRS_MAX} pairs of a peer and a port`, FEWER_PAIRS)
  return { [direction]: rules.map((rule, index) => (index < held ? rule : closed(rule))) }
}

function closed({ peers, ports, ...rule }: Rule): Rule {
  return rule.action === 'Accept' ? { ...rule, peers: [] } : { ...rule, action: 'Deny' }
}

function parseRule(rule: Field, direction: Direction): Rule {
  const written = { path: rule.path, ...parseName(rule.at('name')), source: rule.value }
  const action = ACTIONS.find((one) => one === rule.at('action').value)
  const strict = rule.otherwise(action === 'Accept' ? 'the rule lets nothing through' : 'the rule denies everything')
  const matches = parseMatches(strict, direction)
  if (!action) strict.at('action').wrong(`${quote(rule.at('action').value)} is no action`, `write ${listed(ACTIONS)}`)
  if (action && matches) return { ...written, action, ...matches }
  return closed({ ...written, action: action ?? 'Deny' })
}

function parseName(field: Field): Pick<Rule, 'name'> {
  const { value } = field
  if (typeof value === 'string' && value.length <= NAME_MAX_LENGTH) return value === '' ? {} : { name: value }
  if (!field.isAbsent)
    field
      .otherwise('the rule has no name')
      .wrong(`${quote(value)} is no name`, `write at most ${NAME_MAX_LENGTH} characters`)
  return {}
}

function parseMatches(rule: Field, direction: Direction): Pick<Rule, 'peers' | 'ports'> | undefined {
  const [peersField, protocols] = [rule.at(PEERS_KEY[direction]), rule.at('protocols')]
  if (!rule.hasOnly(['name', 'action', PEERS_KEY[direction], 'protocols'])) return undefined
  const peers = parseAll(peersField, (peer) => parsePeer(peer, direction))
  const ports = protocols.isAbsent ? undefined : parseAll(protocols, parseProtocol)
  if (!peers || (!protocols.isAbsent && !ports)) return undefined
  const other = peers.find(({ kind }) => kind !== 'pods')
  if (other && ports?.some((port) => 'name' in port))
    return protocols.wrong(
      'destinationNamedPort stands beside networks or nodes',
      'write the number, or a rule for pods alone',
    )
  return { peers, ...(ports && { ports }) }
}

/** @returns undefined, having told it, where one of them cannot be done, or where there is none */
function parseAll<T>(field: Field, parse: (item: Field) => T | undefined): T[] | undefined {
  const items = field.items()
  if (items?.length === 0) return field.wrong('it is empty', 'write at least one')
  const parsed = items?.map(parse).filter((one) => one !== undefined)
  return parsed?.length === items?.length ? parsed : undefined
}

function parsePeer(peer: Field, direction: Direction): Peer | undefined {
  const key = onlyKey(peer, PEERS[direction])
  switch (key) {
    case undefined:
      return undefined
    case 'nodes': {
      const nodes = parseSelector(peer.at(key))
      return nodes && { kind: 'nodes', nodes }
    }
    case 'networks': {
      const ranges = parseAll<AddressRange>(peer.at(key), parseCidrField)
      return ranges && { kind: 'ranges', ranges: merge(ranges) }
    }
    case 'domainNames':
      return peer.at(key).wrong('names are not looked up', 'write their networks')
    default: {
      const selection = parsePods(peer)
      return selection && { kind: 'pods', selection }
    }
  }
}

/** A ClusterNetworkPolicyProtocol. */
function parseProtocol(field: Field): PortMatch | undefined {
  const key = onlyKey(field, ['tcp', 'udp', 'sctp', 'destinationNamedPort'])
  if (key === undefined) return undefined
  const given = field.at(key)
  if (key !== 'destinationNamedPort') {
    const port = onlyKey(given, ['destinationPort']) && parsePort(given.at('destinationPort'))
    return port && { protocol: PROTOCOL_KEYS[key], ...port }
  }
  if (isPortName(given.value)) return { name: given.value }
  return given.wrong(`${quote(given.value)} is no name of a port`, 'write it as the container does')
}

function parsePort(field: Field): { first: number; last: number } | undefined {
  const key = onlyKey(field, ['number', 'range'])
  if (key === undefined) return undefined
  if (key === 'number') {
    const number = parsePortNumber(field.at(key))
    return number === undefined ? undefined : { first: number, last: number }
  }
  const range = field.at(key)
  if (!range.hasOnly(['start', 'end'])) return undefined
  const [first, last] = [parsePortNumber(range.at('start')), parsePortNumber(range.at('end'))]
  if (first === undefined || last === undefined) return undefined
  return first < last
    ? { first, last }
    : range.wrong(`${first} is not less than ${last}`, 'write number for a single port')
}
