import { check } from '../check.ts'
import type { AgentState, Firewall, FirewallChain, NodeLink } from '../facts.ts'
import { command, type Finding, shellWord } from '../finding.ts'
import { few, isConfigured, isInUse, LEAVERS, type Leaver, UNCONFIGURED } from './leavers.ts'
import { LEFTOVER_ROUTES, LEFTOVER_ROUTING_RULES } from './leftover-routes.ts'
import { LEFTOVER_SETS } from './leftover-sets.ts'
import { setAside } from './set-aside.ts'
import { unseenRules } from './unseen.ts'

/** What other networks of pods leave behind. */

const TUNNEL_KINDS = ['ipip', 'sit', 'ip6tnl']

export const LEFTOVER_CHECKS = [
  check({
    name: 'leftover-links',
    symptom: 'after a migration: "pod CIDR overlaps", packets that vanish, routes to links that lead nowhere',
    needs: ['network', 'cni', 'agent'],
    find: ({ network: { links, routes }, cni, agent }) =>
      LEAVERS.flatMap((leaver) => {
        const found = links.filter(isLeftBy(leaver))
        if (found.length === 0 || (isConfigured(cni) ? isInUse(leaver, cni) : !isWaitedFor(agent, links))) return []
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
    doubt: ({ network: { links }, cni, agent }) =>
      !isConfigured(cni) && !isWaitedFor(agent, links) && LEAVERS.some((leaver) => links.some(isLeftBy(leaver)))
        ? UNCONFIGURED
        : undefined,
  }),
  LEFTOVER_ROUTES,
  LEFTOVER_ROUTING_RULES,
  check({
    name: 'leftover-files',
    symptom: 'a token of a network that has been removed still opens the API server to whoever reads it on the node',
    needs: ['cni'],
    find: ({ cni }) =>
      cni.places.flatMap(({ confDir, others }) =>
        LEAVERS.flatMap((leaver): Finding[] => {
          const found = others.filter((name) => leaver.file?.test(name))
          if (found.length === 0 || isInUse(leaver, cni)) return []
          return [
            {
              severity: 'note',
              what: `${leaver.name} has left ${few(found)} in ${confDir}`,
              why: 'no runtime reads it; a kubeconfig has the rights of its network for as long as its account is there',
              remedies: [command(`rm ${found.map((name) => shellWord(`${confDir}/${name}`)).join(' ')}`)],
            },
          ]
        }),
      ),
    doubt: ({ cni }) =>
      !isConfigured(cni) &&
      cni.places.some(({ others }) => LEAVERS.some(({ file }) => others.some((name) => file?.test(name))))
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
        return configs.slice(ours + 1).flatMap(({ file, types }): Finding[] => {
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
  LEFTOVER_SETS, // a set that a rule names stays
]

/** The agent waits for the addresses of such a link (agent/nodes/overlap.ts), and no pod of another network is left. */
function isWaitedFor({ answers }: AgentState, links: readonly NodeLink[]): boolean {
  const said = answers?.isServing === false ? answers.problems.join('\n') : ''
  const waitedFor = new Set(Array.from(said.matchAll(/, the network on ([^;]+); /g), ([, name]) => name))
  const theirs = links.filter(({ name }) => LEAVERS.some(({ link }) => link.test(name)))
  return (
    theirs.some(({ name }) => waitedFor.has(name)) && !theirs.some(({ kind, hasPorts }) => hasPorts || kind === 'veth')
  )
}

/** What others are ports of serves somebody: containers of Docker or podman, virtual machines. */
function isLeftBy({ link, tunnel }: Leaver): (found: NodeLink) => boolean {
  return (found) => {
    const { name, kind, isOurs, hasPorts } = found
    if (isOurs || hasPorts || isBare(found)) return false
    return link.test(name) || (TUNNEL_KINDS.includes(kind) && tunnel?.test(name) === true)
  }
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
