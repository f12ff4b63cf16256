import { check } from '../check.ts'
import type { CniFiles, Firewall, FirewallChain, NodeLink } from '../facts.ts'
import { command, type Finding, shellWord } from '../finding.ts'
import { setAside } from './set-aside.ts'
import { unseenRules } from './unseen.ts'

/** What other networks of pods leave behind. */

interface Leaver {
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
  /** Of a plugin in a network configuration. */
  readonly type: RegExp
  /** Many have a link of this name: any configuration may mean it, and not the first alone. */
  readonly isCommon?: boolean
}

const TUNNEL_KINDS = ['ipip', 'sit', 'ip6tnl']

const NONE = /^\b$/

/** Names as these programs write them in their sources. */
const LEAVERS: readonly Leaver[] = [
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
    type: /^calico(-ipam)?$/,
  },
  {
    name: 'Cilium',
    link: /^(cilium_.+|lxc[0-9a-f]{12}|lxc_health)$/,
    chain: /^(OLD_)?CILIUM_/,
    table: /^cilium$/,
    type: /^cilium-cni$/,
  },
  {
    name: 'Weave Net',
    link: /^(weave|vethwe.+|vxlan-6784)$/,
    chain: /^WEAVE/,
    table: /^weave$/,
    type: /^weave-net$/,
  },
  {
    name: 'kube-router',
    link: /^(kube-bridge|kube-dummy-if)$/,
    tunnel: /^tun-.{8,}$/,
    chain: /^KUBE-(ROUTER|NWPLCY|POD-FW)/,
    table: /^kube-router(-filter)?-ipv[46]$/,
    type: /^kube-router$/,
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

export const LEFTOVER_CHECKS = [
  check({
    name: 'leftover-links',
    symptom: 'after a migration: "pod CIDR overlaps", packets that vanish, routes to links that lead nowhere',
    needs: ['network', 'cni'],
    find: ({ network: { links, routes }, cni }) =>
      LEAVERS.flatMap((leaver) => {
        const found = links.filter((link) => isLeft(leaver, link))
        if (found.length === 0 || isInUse(leaver, cni)) return []
        const names = found.map(({ name }) => name)
        const carried = routes.filter(({ link }) => names.includes(link))
        return [
          {
            severity: carried.length > 0 ? 'error' : 'warning',
            what: `${leaver.name} has left ${names.length === 1 ? 'the link' : `${names.length} links`} ${few(names)}${carried.length > 0 ? `, with routes to ${few(carried.map(({ destination }) => destination))}` : ''}`,
            why: "its routes win over those to pods, or their addresses are taken for the node's",
            advice: `if ${leaver.name} is to stay on this node, leave them`,
            remedies: deletions(found),
          },
        ]
      }),
    doubt: ({ network: { links }, cni }) =>
      !isConfigured(cni) && LEAVERS.some((leaver) => links.some((link) => isLeft(leaver, link)))
        ? UNCONFIGURED
        : undefined,
  }),
  check({
    name: 'leftover-conflists',
    symptom: 'when Bramble is taken from a node, pods get addresses of the network before',
    needs: ['cni'],
    find: ({ cni }) =>
      cni.places.flatMap(({ confDir, configs }): Finding[] => {
        const ours = configs.findIndex(({ types }) => types.includes('bramble'))
        return configs.slice(ours + 1).flatMap(({ file, types }) => {
          const leaver = LEAVERS.find(({ type }) => types[0] !== 'bridge' && types.some((one) => type.test(one)))
          if (ours < 0 || !leaver) return []
          return [
            {
              severity: 'note',
              what: `${confDir}/${file} is of ${leaver.name}`,
              why: 'runtimes take the next file where ours is not there',
              remedies: [setAside(confDir, file)],
            },
          ]
        })
      }),
  }),
  check({
    name: 'leftover-rules',
    symptom: 'after a migration: policies of the network before still drop; Services answer from some pods only',
    needs: ['firewall', 'cni'],
    find: ({ firewall, cni }) =>
      LEAVERS.flatMap((leaver): Finding[] => {
        const found = chainsOf(firewall).filter((chain) => isOf(leaver, chain))
        if (found.length === 0 || isInUse(leaver, cni)) return []
        return [
          {
            severity: 'warning',
            what: `${leaver.name} has left rules: ${few(found.map(({ table, name }) => `${name} in ${table}`))}`,
            why: 'they still meet every packet: they drop, translate or mark what is not theirs any more',
            advice: 'a reboot takes them all; the commands keep every other rule',
            remedies: [...tableDeletions(firewall, leaver), ...withoutRules(firewall, leaver)].map(command),
          },
        ]
      }),
    doubt: ({ firewall, cni }) =>
      !isConfigured(cni) && LEAVERS.some((leaver) => chainsOf(firewall).some((chain) => isOf(leaver, chain)))
        ? UNCONFIGURED
        : unseenRules(firewall),
  }),
]

const UNCONFIGURED = 'no network configuration is where it was looked for, so that any network may be the one in use'

/** Else nobody knows which network is in use: the runtime may look in a folder that we do not know. */
function isConfigured({ places, runtime }: CniFiles): boolean {
  const { confDir } = runtime ?? {}
  return (
    places.some(({ configs }) => configs.some(({ error }) => error === undefined)) &&
    (confDir === undefined || places.some((place) => place.confDir === confDir))
  )
}

/** The first network that is configured is the one in use: a node that is yet to be migrated has no leftovers. */
function isInUse({ type, isCommon }: Leaver, cni: CniFiles): boolean {
  const inUse = cni.places.flatMap(({ configs }) => {
    const whole = configs.filter(({ error }) => error === undefined)
    return isCommon ? whole : whole.slice(0, 1)
  })
  return !isConfigured(cni) || inUse.some(({ types }) => types.some((one) => type.test(one)))
}

/** What others are ports of serves somebody: containers of Docker or podman, virtual machines. */
function isLeft({ link, tunnel }: Leaver, found: NodeLink): boolean {
  const { name, kind, isOurs, hasPorts } = found
  if (isOurs || hasPorts || isBare(found)) return false
  return link.test(name) || (TUNNEL_KINDS.includes(kind) && tunnel?.test(name) === true)
}

/** The module ipip puts it into every namespace, and it cannot be deleted; only with an address is it somebody's. */
function isBare({ name, addresses }: NodeLink): boolean {
  return name === 'tunl0' && addresses.length === 0
}

function deletions(links: readonly NodeLink[]) {
  return links
    .slice(0, 20)
    .map(({ name }) => command(name === 'tunl0' ? `ip address flush dev ${name}` : `ip link delete ${shellWord(name)}`))
}

function chainsOf({ chains, legacyChains }: Firewall): FirewallChain[] {
  return [...chains, ...legacyChains]
}

function isOf({ chain, table }: Leaver, found: FirewallChain): boolean {
  return chain.test(found.name) || table.test(found.table.split(' ')[1] ?? '')
}

function tableDeletions({ chains }: Firewall, leaver: Leaver): string[] {
  const tables = chains.map(({ table }) => table).filter((table) => leaver.table.test(table.split(' ')[1] ?? ''))
  return [...new Set(tables)].map((table) => `nft delete table ${table}`)
}

/** By way of a saved text, with its counters, as Calico's and Cilium's own guides do it. */
function withoutRules({ chains, legacyChains }: Firewall, leaver: Leaver): string[] {
  const programs = (all: readonly FirewallChain[], suffix: string) =>
    [...new Set(all.filter(({ name }) => leaver.chain.test(name)).map(({ table }) => table.split(' ')[0]))].map(
      (family) => {
        const program = `${family === 'ip6' ? 'ip6tables' : 'iptables'}${suffix}`
        return `${program}-save -c | grep -vE '${lineOf(leaver)}' | ${program}-restore -c`
      },
    )
  return [...programs(chains, '-nft'), ...programs(legacyChains, '-legacy')]
}

/** Every line that names such a chain (what defines it, what is in it, what leads to it), or has such a comment. */
function lineOf({ chain, comment }: Leaver): string {
  const named = `(^:|-A |-j |-g )${withoutStart(chain)}`
  return comment ? `${named}|--comment "?${withoutStart(comment)}` : named
}

function withoutStart({ source }: RegExp): string {
  return source.replace(/^\^/, '')
}

function few(names: readonly string[]): string {
  return names.length > 4 ? `${names.slice(0, 4).join(', ')} and ${names.length - 4} more` : names.join(', ')
}
