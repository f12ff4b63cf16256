import {
  type Direction,
  type Peer,
  type Policy,
  type PortMatch,
  policyId,
  type Rule,
  type Selector,
} from '../cluster/policy.ts'
import type { Reason, Verdict } from './evaluate.ts'
import { rangeText } from './ranges.ts'

/** So many ranges, peers or ports are told one by one. */
const SHOWN_MAX = 4

/** A rule in a few words: `from pods app=web in this namespace on TCP 80`. Pure. */
export function describeRule({ peers, ports }: Rule, direction: Direction, { namespace }: Policy): string {
  const [way, others] = direction === 'ingress' ? ['from', 'everybody'] : ['to', 'everywhere']
  const who =
    peers === undefined
      ? others
      : few(
          peers.map((peer) => describePeer(peer, namespace)),
          ' or ',
        ) || 'nobody'
  const where = ports === undefined ? '' : ` on ${few(ports.map(describePort), ', ') || 'no port'}`
  return `${way} ${who}${where}`
}

/** What decided; '' where no policy had to. Pure. */
function describeReason(because: Reason): string {
  switch (because.kind) {
    case 'rule':
      return `${policyId(because.policy)}, ${because.rule.path}`
    case 'isolated':
      return `isolated by ${few(because.policies.map(policyId), ', ')}`
    case 'own-node':
      return 'its own node'
    case 'itself':
      return 'itself'
    case 'unknown':
      return 'nothing is known of the pod yet'
    default:
      return ''
  }
}

/** Of what is dropped who drops it, of what is let through who does. Pure. */
export function describeVerdict(verdict: Verdict): string {
  const decided = (['egress', 'ingress'] as const).filter(
    (direction) => verdict.isAllowed || !verdict[direction].isAllowed,
  )
  const texts = decided.flatMap((direction) => {
    const { because, isAllowed } = verdict[direction]
    const text = isAllowed ? describeReason(because) : describeReason(because) || 'closed by --policy-mode always'
    return text === '' ? [] : [`${direction === 'egress' ? 'out' : 'in'}: ${text}`]
  })
  return texts.join('; ') || 'no policy is about it'
}

function describePeer(peer: Peer, ownNamespace: string | undefined): string {
  switch (peer.kind) {
    case 'pods': {
      const { namespaces, pods } = peer.selection
      return `${described('pods', pods)} in ${describeNamespaces(namespaces, ownNamespace)}`
    }
    case 'nodes':
      return described('nodes', peer.nodes)
    case 'ranges':
      return few(peer.ranges.map(rangeText), ', ') || 'no address'
  }
}

export function describeNamespaces(namespaces: string | Selector, ownNamespace?: string): string {
  if (typeof namespaces !== 'string') return described('namespaces', namespaces)
  return namespaces === ownNamespace ? 'this namespace' : `namespace ${namespaces}`
}

function described(what: string, { text }: Selector): string {
  return text === '' ? `all ${what}` : `${what} ${text}`
}

function describePort(port: PortMatch): string {
  if ('name' in port) return `${port.protocol ?? 'any'} ${port.name}`
  const { protocol, first, last } = port
  if (first === 1 && last === 65_535) return protocol
  return first === last ? `${protocol} ${first}` : `${protocol} ${first}-${last}`
}

function few(texts: readonly string[], separator: string): string {
  const more = texts.length - SHOWN_MAX
  return texts.slice(0, SHOWN_MAX).join(separator) + (more > 0 ? ` and ${more} more` : '')
}
