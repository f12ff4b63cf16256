import { parseClusterNetworkPolicyObject } from '../../../agent/cluster/cluster-network-policy-object.ts'
import { parseNetworkPolicyObject } from '../../../agent/cluster/network-policy-object.ts'
import { type Direction, type Policy, policyId } from '../../../agent/cluster/policy.ts'
import type { ClusterPod } from '../../../agent/cluster/workloads.ts'
import type { LocalPod, PolicyInput } from '../../../agent/policy/input.ts'
import type { PolicyTable } from '../../../agent/ruleset/table.ts'
import { familyOf, parseCidr } from '../../../ipam/address.ts'

/**
 * A small cluster to compile policies for. Of the namespace shop, web and db are pods of this node (pi-1), client is one
 * of pi-2, as is the pod tester of the namespace lab. Each has IPv4, and IPv6 where it is asked for.
 */
const HOSTS: Readonly<Record<string, string>> = {
  'shop/web': '1',
  'shop/db': '2',
  'shop/client': '3',
  'lab/tester': '4',
}

export interface Situation {
  readonly policies?: readonly object[]
  readonly hasIpv6?: boolean
  readonly mode?: PolicyInput['mode']
  readonly failsOpen?: boolean
  readonly pods?: readonly ClusterPod[]
  /** Instead of web and db. */
  readonly local?: readonly LocalPod[]
}

export function input(situation: Situation = {}): PolicyInput {
  const { policies = [], hasIpv6 = false, mode = 'default', failsOpen = false } = situation
  const pods = [...Object.keys(HOSTS).map((key) => pod(key)), ...(situation.pods ?? [])]
  const local = situation.local ?? [localPod('shop/web'), localPod('shop/db')]
  const isWanted = (address: string) => hasIpv6 || familyOf(address) === 4
  const withWanted = <T extends { readonly addresses: readonly string[] }>(one: T): T => {
    return { ...one, addresses: one.addresses.filter(isWanted) }
  }
  return {
    workloads: {
      pods: new Map(pods.map(withWanted).map((one) => [`${one.namespace}/${one.name}`, one])),
      namespaces: new Map(
        ['shop', 'lab'].map((name) => [name, { name, labels: { 'kubernetes.io/metadata.name': name } }]),
      ),
      policies: new Map(policies.map(parsed).map((policy) => [policyId(policy), policy])),
    },
    nodes: new Map(
      [1, 2].map((number) => {
        const podCidrs = [`10.42.${number}.0/24`, `fd42:0:0:${number}::/64`].map(parseCidr)
        const name = `pi-${number}`
        return [name, { name, podCidrs, addresses: [`192.168.1.${number}`], labels: { disk: 'ssd' } }]
      }),
    ),
    nodeName: 'pi-1',
    localPods: new Map(local.map(withWanted).map((one) => [one.link, one])),
    mode,
    failsOpen,
    tunnelPorts: { vxlan: 4789, wireguard: 51820 },
  }
}

function parsed(object: object): Policy {
  return 'kind' in object && object.kind === 'NetworkPolicy'
    ? parseNetworkPolicyObject(object).policy
    : parseClusterNetworkPolicyObject(object).policy
}

export function pod(key: string, change: Partial<ClusterPod> = {}): ClusterPod {
  const [namespace = '', name = ''] = key.split('/')
  const node = name === 'web' || name === 'db' ? 1 : 2
  return {
    namespace,
    name,
    uid: name,
    nodeName: `pi-${node}`,
    labels: { app: name },
    addresses: [`10.42.${node}.${HOSTS[key] ?? '9'}`, `fd42:0:0:${node}::${HOSTS[key] ?? '9'}`],
    isHostNetwork: false,
    ports: [{ name: 'http', protocol: 'TCP', number: name === 'web' ? 80 : 8080 }],
    ...change,
  }
}

export function localPod(key: string, change: Partial<LocalPod> = {}): LocalPod {
  const { uid, addresses } = pod(key)
  const number = HOSTS[key] ?? '9'
  return {
    pod: key,
    uid,
    link: `brm${number.padStart(12, '0')}`,
    mac: `02:00:00:00:00:0${number}`,
    addresses,
    isUnknown: false,
    ...change,
  }
}

/** A NetworkPolicy for the pods web of the namespace shop, unless it says otherwise. */
export function networkPolicy(name: string, spec: object, metadata: object = {}) {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { namespace: 'shop', name, ...metadata },
    spec: { podSelector: { matchLabels: { app: 'web' } }, ...spec },
  }
}

/** A ClusterNetworkPolicy for all pods, unless it says otherwise. */
export function clusterPolicy(name: string, spec: object, metadata: object = {}) {
  return {
    apiVersion: 'policy.networking.k8s.io/v1alpha2',
    kind: 'ClusterNetworkPolicy',
    metadata: { name, ...metadata },
    spec: { tier: 'Admin', priority: 10, subject: { namespaces: {} }, ...spec },
  }
}

export const ON_AUDIT = { annotations: { 'bramble.dev/mode': 'audit' } }

export const CLIENT = { podSelector: { matchLabels: { app: 'client' } } }
export const LAB = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'lab' } } }

/** For people: names by letters in the order in which they are met, and no marks. */
export function readable(text: string): string {
  const letters = new Map<string, string>()
  return text.replaceAll(/ #[0-9a-f]{8}"/g, '"').replaceAll(/\b[0-9a-f]{20}\b/g, (hash) => {
    if (!letters.has(hash)) letters.set(hash, String.fromCharCode(65 + letters.size))
    return letters.get(hash) ?? ''
  })
}

/** The chains that a packet to or from an address can come through, without comments; '' where nothing is said about it. */
export function rulesOf(table: PolicyTable, direction: Direction, address = '10.42.1.1'): string {
  const shown = new Set<string>()
  const show = (name: string): string[] => {
    if (shown.has(name)) return []
    shown.add(name)
    const rules = table.chains.get(name)?.rules ?? []
    const next = rules.flatMap((rule) => /(?:goto|jump) (\S+)/.exec(rule)?.[1] ?? [])
    return [`${name}:`, ...rules.map((rule) => `  ${rule.replace(/ comment ".*"$/, '')}`), ...next.flatMap(show)]
  }
  const entry = table.maps.get(`${direction}${familyOf(address)}`)?.elements.get(address)
  return entry === undefined ? '' : readable(show(entry).join('\n'))
}

/** Of all sets of a kind the elements; by what the comment says. */
export function elementsOf(table: PolicyTable, kind: string): Record<string, string[]> {
  const sets = [...table.sets.values()].filter(({ name }) => name.startsWith(`${kind}-`))
  return Object.fromEntries(sets.map(({ comment, elements }) => [comment, [...elements].sort()]))
}

/** The chain in which packets end, without comments; of policies `drop-in-A` or `audit-in-A`, with a counter of each. */
export function endOf(name: string, ...policies: readonly string[]): string {
  const [way, own] = /^[a-z]+-in/.test(name) ? ['in', 'daddr'] : ['out', 'saddr']
  const [total = name] = [{ drop: `dropped-${way}`, audit: `audited-${way}` }[name.replace(/-.*/, '')]].filter(Boolean)
  const counted = (total === name ? [] : policies.length > 0 ? policies : [name]).map(
    (one) => `  counter name "${one}"\n`,
  )
  const log = `limit rate 1/second burst 5 packets } log prefix "bramble ${name}" group 25202 snaplen 128`
  return `${name}:
  update @told-${way}4 { ip ${own} ${log}
  update @told-${way}6 { ip6 ${own} ${log}
${counted.join('')}  counter name "${total}"${name.startsWith('audit') ? '' : ' drop'}`
}
