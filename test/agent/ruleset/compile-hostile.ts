import type { Policy, Selector } from '../../../agent/cluster/policy.ts'
import type { PolicyInput } from '../../../agent/policy/input.ts'
import { input, localPod, pod } from './compile-cluster.ts'

/** Texts that want to be more than a name. No parser lets them through; the compiler does not rely on that. */
export const HOSTILE: Readonly<Record<string, string>> = {
  'ends the comment': 'x" accept comment "y',
  'begins a line': 'x\nflush ruleset\n',
  'ends the command': 'x; flush ruleset; ',
  'ends the block': 'x } delete table inet bramble-policy; #',
  'is the name of a set': '@pods4',
  'is for a shell': '$(reboot)`reboot`',
  'escapes what is behind it': '\\"\\',
  'is no ASCII': 'é\u2028\u0000\u007f',
  'is as long as names can be': 'a'.repeat(253),
  'is empty': '',
}

/** A cluster in which every text that somebody can choose is this one. */
export function hostileInput(text: string): PolicyInput {
  const selector: Selector = { text, requirements: [] }
  const subject = { namespaces: selector, pods: selector }
  const rules = [
    {
      path: text,
      name: text,
      action: 'Accept' as const,
      peers: [
        { kind: 'pods' as const, selection: subject },
        { kind: 'pods' as const, selection: { namespaces: text, pods: selector } },
        { kind: 'nodes' as const, nodes: selector },
      ],
      ports: [{ name: text }, { protocol: 'TCP' as const, first: 80, last: 80 }],
      source: text,
    },
  ]
  const policy = { priority: 0, subject, ingress: rules, egress: rules, isAudit: false, name: text }
  const policies: Policy[] = [
    { ...policy, kind: 'NetworkPolicy', namespace: text, tier: 'NetworkPolicy' },
    { ...policy, kind: 'ClusterNetworkPolicy', tier: 'Admin' },
  ]
  const state = input({
    local: [
      localPod('shop/web'),
      localPod('shop/db', { link: text, mac: text, addresses: [text, '10.42.1.2'] }),
      localPod('shop/new', { pod: text }),
    ],
    pods: [
      pod('lab/hostile', {
        name: text,
        uid: text,
        labels: { [text]: text },
        addresses: [text, `10.42.2.7 ${text}`],
        ports: [{ name: text, protocol: 'TCP', number: 80 }],
      }),
    ],
  })
  const nodes = new Map(state.nodes)
  nodes.set(text, {
    name: text,
    podCidrs: [],
    addresses: [text],
    otherAddresses: [`${text}.1`],
    labels: { [text]: text },
  })
  return {
    ...state,
    nodes,
    workloads: { ...state.workloads, policies: new Map(policies.map((one) => [`${one.kind} ${text}`, one])) },
  }
}
