import type { CniFiles, RoutingRule } from '../facts.ts'

/** Other networks of pods, and by what each is known. */

export interface Leaver {
  readonly name: string
  readonly link: RegExp
  /** Of links that count only if they are tunnels: people give such names, too. */
  readonly tunnel?: RegExp
  /** Of iptables. */
  readonly chain: RegExp
  /** Of iptables' rules in chains of others. */
  readonly comment?: RegExp
  /** Of nftables, without its family. */
  readonly table: RegExp
  /** Of ipsets, which rules of iptables look into. */
  readonly set?: RegExp
  readonly rule?: (rule: RoutingRule) => boolean
  /** Beside its network configuration. */
  readonly file?: RegExp
  /** By which its routes are known (linux/rtnetlink.h, RTPROT_…). */
  readonly protocols?: readonly number[]
  /** Of a plugin in a network configuration. */
  readonly type: RegExp
  /** Many have a link of this name: any configuration may mean it, and not the first alone. */
  readonly isCommon?: boolean
}

const NONE = /^\b$/

/** Names as these programs write them in their sources. */
export const LEAVERS: readonly Leaver[] = [
  {
    name: 'flannel',
    link: /^(flannel[.-].+|flannel-wg(-v6)?)$/,
    chain: /^FLANNEL-/,
    table: /^flannel-ipv[46]$/,
    type: /^flannel$/,
  },
  {
    name: 'Calico',
    link: /^(tunl0|cali[0-9a-f]{11}|vxlan(-v6)?\.calico|wireguard\.cali|wg-v6\.cali)$/,
    chain: /^cali[-:]/,
    comment: /^cali:/,
    table: /^calico$/,
    set: /^cali(4|6)/,
    rule: ({ priority, mark }) => priority === 99 && mark !== 0, // WireguardRoutingRulePriority of Felix
    file: /^calico-(kubeconfig|tls)$/,
    protocols: [80, 12], // DeviceRouteProtocol of Felix; RTPROT_BIRD
    type: /^calico(-ipam)?$/,
  },
  {
    name: 'Cilium',
    link: /^(cilium_.+|lxc[0-9a-f]{12}|lxc_health)$/,
    chain: /^(OLD_)?CILIUM_/,
    table: /^cilium$/,
    set: /^cilium_/,
    rule: ({ table }) => table === 2004 || table === 2005, // pkg/datapath/linux/linux_defaults: to and from its proxy
    file: /\.cilium_bak$/,
    type: /^cilium-cni$/,
  },
  {
    name: 'Weave Net',
    link: /^(weave|vethwe.+|vxlan-6784)$/,
    chain: /^WEAVE/,
    table: /^weave$/,
    set: /^weave-/,
    type: /^weave-net$/,
  },
  {
    name: 'kube-router',
    link: /^(kube-bridge|kube-dummy-if)$/,
    tunnel: /^tun-.{8,}$/,
    chain: /^KUBE-(ROUTER|NWPLCY|POD-FW)/,
    table: /^kube-router(-filter)?-ipv[46]$/,
    set: /^(inet6:)?(kube-router-|KUBE-(SRC|DST)-)/,
    rule: ({ table }) => table >= 77 && table <= 79, // pkg/utils, pkg/controllers/proxy: kube-router, its DSR, its external addresses
    type: /^kube-router$/,
  },
  {
    name: 'portmap (hostPorts of pods that are gone, or older than those of Bramble)',
    link: NONE,
    chain: /^CNI-(HOSTPORT-|DN-|SN-)/,
    table: /^cni_hostport$/,
    type: /^portmap$/,
    isCommon: true,
  },
  {
    name: "a bridge network (flannel's, k3s')",
    link: /^cni0$/,
    chain: NONE,
    table: NONE,
    type: /^(flannel|bridge)$/,
    isCommon: true,
  },
]

export const UNCONFIGURED =
  'no network configuration is where it was looked for, so that any network may be the one in use'

/** Else nobody knows which network is in use: the runtime may look in a folder that we do not know. */
export function isConfigured({ places, runtime }: CniFiles): boolean {
  const { confDir } = runtime ?? {}
  return (
    places.some(({ configs }) => configs.some(({ error }) => error === undefined)) &&
    (confDir === undefined || places.some((place) => place.confDir === confDir))
  )
}

/** The first network that is configured is the one in use: a node that is yet to be migrated has no leftovers. */
export function isInUse({ type, isCommon }: Leaver, cni: CniFiles): boolean {
  const inUse = cni.places.flatMap(({ configs }) => {
    const whole = configs.filter(({ error }) => error === undefined)
    return isCommon ? whole : whole.slice(0, 1)
  })
  return !isConfigured(cni) || inUse.some(({ types }) => types.some((one) => type.test(one)))
}

/** As many as one reads. */
export function few(names: readonly string[]): string {
  return names.length > 4 ? `${names.slice(0, 4).join(', ')} and ${names.length - 4} more` : names.join(', ')
}
