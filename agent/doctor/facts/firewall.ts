import { hasLegacyRules } from '../../kernel/iptables-legacy.ts'
import { Nftables } from '../../kernel/nftables.ts'
import { isOurTable } from '../../ownership.ts'
import type { Firewall, FirewallChain } from '../facts.ts'
import type { Places } from '../places.ts'
import { outputOf } from './command.ts'

/** @throws NftablesError */
export async function firewall(places: Places): Promise<Firewall> {
  const nftables = Nftables.load()
  try {
    const chains = parseChains(await nftables.show('list chains')).filter(
      ({ table }) => !isOurTable(table.split(' ')[1] ?? ''),
    )
    const texts = new Map<string, string>()
    // Only these: kube-proxy's tables have thousands of rules.
    for (const table of new Set(chains.filter(mayDropForwarded).map((chain) => chain.table)))
      texts.set(table, await nftables.show(`list table ${table}`))
    return { chains, texts, ...(await legacy(places, texts)) }
  } finally {
    await nftables.close()
  }
}

function mayDropForwarded({ hook, policy, table }: FirewallChain): boolean {
  return hook === 'forward' && (policy === 'drop' || table.endsWith(' firewalld'))
}

/** Of what `nft list chains` prints. Pure. */
export function parseChains(text: string): FirewallChain[] {
  const chains: FirewallChain[] = []
  let table = ''
  let name = ''
  for (const line of text.split('\n')) {
    const [, newTable] = /^table (\S+ \S+) \{/.exec(line) ?? []
    const [, newName] = /^\s+chain (\S+) \{/.exec(line) ?? []
    const [, hook, rest = ''] = /^\s+type \S+ hook (\S+) (.*)/.exec(line) ?? []
    if (newTable) table = newTable
    if (newName) {
      name = newName
      chains.push({ table, name })
    }
    if (hook) chains[chains.length - 1] = { table, name, hook, policy: /policy (\w+)/.exec(rest)?.[1] ?? 'accept' }
  }
  return chains
}

/** What iptables-legacy has made: asked only where the kernel says that there is some, as asking makes tables. */
async function legacy(places: Places, texts: Map<string, string>) {
  const legacyTables: string[] = []
  const legacyChains: FirewallChain[] = []
  for (const [family, prefix] of [
    [4, 'ip'],
    [6, 'ip6'],
  ] as const) {
    const names = (places.read(`/proc/net/${prefix}_tables_names`) ?? '').split('\n').filter((name) => name !== '')
    if (names.length === 0) continue
    const saved = (await outputOf(`${prefix}tables-legacy-save`))?.stdout ?? '' // there is no such program in the agent's image
    const chains = parseSaved(prefix, saved)
    const closed = chains.filter(({ policy }) => policy === 'drop').map(({ table }) => table)
    legacyTables.push(
      ...names
        .filter((name) => hasLegacyRules(family, name) || closed.includes(`${prefix} ${name}`))
        .map((name) => `${prefix} ${name}`),
    )
    legacyChains.push(...chains)
    texts.set(`legacy ${prefix} filter`, saved)
  }
  return { legacyTables, legacyChains }
}

/** Of what `iptables-save` prints. Pure. */
export function parseSaved(family: string, text: string): FirewallChain[] {
  let table = ''
  return text.split('\n').flatMap((line) => {
    const [, newTable] = /^\*(\S+)/.exec(line) ?? []
    if (newTable) table = `${family} ${newTable}`
    const [, name, policy] = /^:(\S+) (\S+)/.exec(line) ?? []
    if (name === undefined) return []
    // A base chain's name is its hook's; any other has no policy.
    return [
      policy === '-' ? { table, name } : { table, name, hook: name.toLowerCase(), policy: policy?.toLowerCase() ?? '' },
    ]
  })
}
