import { check } from '../check.ts'
import type { AgentState, Firewall, FirewallChain } from '../facts.ts'
import { command, type Finding, type Remedy, shellWord } from '../finding.ts'
import { isAbout } from './cidrs.ts'
import { unseenRules } from './unseen.ts'

/** Rules of other programs that stand in the way of pods. */

const isIptables = (table: string) => /^ip6? (filter|nat|mangle|raw)$/.test(table)

/** All that pods of the cluster have addresses from, as far as it is known. */
const podCidrsOf = ({ podCidrs, answers }: AgentState) => [
  ...new Set([...podCidrs, ...(answers?.peers ?? []).flatMap(({ podCidrs }) => podCidrs)]),
]

export const FIREWALL_CHECKS = [
  check({
    name: 'forward-drop',
    symptom: 'pods reach their own node and nothing else, since Docker or ufw is on the node',
    needs: ['firewall', 'agent'],
    find: ({ firewall, agent }) => {
      const dropping = [...firewall.chains, ...firewall.legacyChains].filter(
        ({ hook, policy, isClosed, table }) =>
          hook === 'forward' && (policy === 'drop' || isClosed) && !table.endsWith(' firewalld'),
      )
      const closed = dropping.filter((chain) => !letsPodsThrough(firewall, chain, podCidrsOf(agent)))
      return closed.map(
        (chain): Finding => ({
          severity: 'error',
          what: `the chain ${chain.name} of ${chain.table}${firewall.legacyChains.includes(chain) ? ' (iptables-legacy)' : ''} drops what is forwarded, and nothing lets pods through${ownerOf(firewall, chain)}`,
          why: 'packets of pods, to other pods and to the outside, are dropped on this node',
          ...(isUfw(firewall, chain) ? {} : { advice: lastingIn(chain) }),
          remedies: remediesFor(firewall, chain, podCidrsOf(agent)),
        }),
      )
    },
    doubt: ({ firewall }) => unseenRules(firewall),
  }),
  check({
    name: 'firewalld',
    symptom: 'pods reach nothing since firewalld is on the node; "No route to host"',
    needs: ['firewall', 'agent'],
    find: ({ firewall: { texts }, agent }) => {
      const text = texts.get('inet firewalld')
      const cidrs = podCidrsOf(agent)
      const rules = (text ?? '').split('\n').filter((line) => line.includes('saddr '))
      const missing = cidrs.filter((cidr) => !rules.some((rule) => isAbout(rule, cidr)))
      if (text === undefined || (cidrs.length > 0 && missing.length === 0)) return []
      return [
        {
          severity: 'error',
          what: `firewalld runs, and does not trust ${missing.join(', ') || "pods' addresses"}`,
          why: 'it rejects what is forwarded between zones: packets of pods, and those of other nodes for them',
          remedies: [
            ...(missing.length > 0 ? missing : ['POD_CIDR']).map((cidr) =>
              command(`firewall-cmd --permanent --zone=trusted --add-source=${cidr}`),
            ),
            command('firewall-cmd --permanent --add-port=4789/udp # VXLAN, from other nodes'),
            command('firewall-cmd --reload'),
          ],
        },
      ]
    },
  }),
  check({
    name: 'iptables-mixed',
    symptom: 'rules that `iptables -S` does not show; Services work on some nodes only',
    needs: ['firewall'],
    doubt: ({ firewall }) => (firewall.legacyTables.length > 0 ? undefined : unseenRules(firewall)),
    find: ({ firewall: { chains, legacyTables } }) => {
      const nft = [...new Set(chains.map(({ table }) => table).filter(isIptables))]
      if (legacyTables.length === 0 || nft.length === 0) return []
      return [
        {
          severity: 'warning',
          what: `iptables-legacy has ${legacyTables.join(', ')}, and iptables-nft has ${nft.join(', ')}`,
          why: 'every packet meets the rules of both, and each of the two programs shows its own alone: what one accepts the other may drop',
          advice:
            'see whose rules the older ones are; a reboot takes them, if nothing makes them anew (Debian: update-alternatives --set iptables /usr/sbin/iptables-nft)',
          remedies: [command('iptables-legacy-save'), command('iptables-nft-save')],
        },
      ]
    },
  }),
]

/** A rule that accepts by our links' names or by pods' addresses, wherever in the table. */
function letsPodsThrough(firewall: Firewall, chain: FirewallChain, cidrs: readonly string[]): boolean {
  const lines = (firewall.texts.get(`${firewall.legacyChains.includes(chain) ? 'legacy ' : ''}${chain.table}`) ?? '')
    .split('\n')
    .filter((line) => /\baccept\b|-j ACCEPT\b/.test(line))
  return lines.some((line) => /"?brm(\*|\+|")/.test(line) || cidrs.some((cidr) => isAbout(line, cidr)))
}

function hasChain(firewall: Firewall, table: string, name: RegExp): boolean {
  return [...firewall.chains, ...firewall.legacyChains].some((chain) => chain.table === table && name.test(chain.name))
}

function ownerOf(firewall: Firewall, chain: FirewallChain): string {
  const { table } = chain
  if (hasChain(firewall, table, /^DOCKER-USER$/)) return '; Docker did that'
  if (isUfw(firewall, chain)) return '; ufw did that'
  return ''
}

function isUfw(firewall: Firewall, { table }: FirewallChain): boolean {
  return hasChain(firewall, table, /^ufw6?-/)
}

/** Whatever a command adds is gone with the next start of that firewall. */
function lastingIn({ table }: FirewallChain): string {
  return isIptables(table)
    ? 'until the next reboot; for good: netfilter-persistent save (Debian: iptables-persistent), or what starts that firewall'
    : 'until that firewall starts again; for good: the same rules in its file (Debian: /etc/nftables.conf)'
}

function remediesFor(firewall: Firewall, chain: FirewallChain, cidrs: readonly string[]): Remedy[] {
  const { table } = chain
  if (isUfw(firewall, chain))
    return (cidrs.length > 0 ? cidrs : ['POD_CIDR'])
      .filter((cidr) => cidr.includes(':') === table.startsWith('ip6 '))
      .flatMap((cidr) => [command(`ufw route allow from ${cidr}`), command(`ufw route allow to ${cidr}`)])
  if (!isIptables(table))
    return ['iifname', 'oifname'].map((side) =>
      command(`nft ${shellWord(`insert rule ${table} ${chain.name} ${side} "brm*" accept`)}`),
    )
  const program = `${table.startsWith('ip6') ? 'ip6tables' : 'iptables'}-${firewall.legacyChains.includes(chain) ? 'legacy' : 'nft'}`
  // Docker keeps its hands off this one, and it comes first.
  const target = hasChain(firewall, table, /^DOCKER-USER$/) ? 'DOCKER-USER' : chain.name
  return ['-i', '-o'].map((side) => command(`${program} -I ${target} ${side} brm+ -j ACCEPT`))
}
