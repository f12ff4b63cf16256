import { readFileSync } from 'node:fs'
import { listIpsets } from '../../kernel/ipset.ts'
import { hasLegacyRules } from '../../kernel/iptables-legacy.ts'
import { Nftables } from '../../kernel/nftables.ts'
import { isOurTable } from '../../ownership.ts'
import type { Firewall, FirewallChain } from '../facts.ts'
import type { Places } from '../places.ts'
import { outputOf } from './command.ts'

/** linux/capability.h */
const CAP_NET_ADMIN = 12n

/** @throws NftablesError; Error without the right to ask, of which the library would say on the terminal what it thinks */
export async function firewall(places: Places): Promise<Firewall> {
  if (!mayAdminister(readFileSync('/proc/self/status', 'utf8')))
    throw new Error("the rules of nftables are root's to see")
  const nftables = Nftables.load()
  try {
    const listed = parseChains(await nftables.show('list chains'))
    const foreign = listed.filter(({ table, name }) => !isOurTable(table.split(' ')[1] ?? '') && isPlain(name))
    const chains = await Promise.all(foreign.map((chain) => withItsEnd(nftables, chain)))
    const texts = new Map<string, string>()
    // Only these: kube-proxy's tables have thousands of rules.
    for (const table of new Set(chains.filter(mayDropForwarded).map((chain) => chain.table)))
      texts.set(table, await nftables.show(`list table ${table}`))
    return { chains, texts, ipsets: await listIpsets(), ...(await legacy(places, texts)) }
  } finally {
    await nftables.close()
  }
}

/** @param status of a process, as proc(5) has it. Pure. */
export function mayAdminister(status: string): boolean {
  const [, effective = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(status) ?? []
  return ((BigInt(`0x${effective}`) >> CAP_NET_ADMIN) & 1n) === 1n
}

/** The kernel takes any text for a name, and it becomes a word of a command here. */
function isPlain(name: string): boolean {
  return /^[\w./:-]+$/.test(name)
}

async function withItsEnd(nftables: Nftables, chain: FirewallChain): Promise<FirewallChain> {
  if (chain.hook !== 'forward') return chain
  return { ...chain, isClosed: isClosed(await nftables.show(`list chain ${chain.table} ${chain.name}`)) }
}

/** Of what `nft list chain` prints: does the last rule take everything, and let nothing on? Pure. */
export function isClosed(text: string): boolean {
  const rules = text.split('\n').filter((line) => line.startsWith('\t\t') && !line.includes(' hook '))
  return /^\t\t(counter( packets \d+ bytes \d+)? )?(log .*)?(drop|reject\b[^"]*)( comment .*)?$/.test(
    rules.at(-1) ?? '',
  )
}

function mayDropForwarded({ hook, policy, isClosed, table }: FirewallChain): boolean {
  return hook === 'forward' && (policy === 'drop' || isClosed === true || table.endsWith(' firewalld'))
}

/** Of what `nft list chains` prints. Pure. */
export function parseChains(text: string): FirewallChain[] {
  const chains: FirewallChain[] = []
  let table = ''
  let name = ''
  for (const line of text.split('\n')) {
    const [, newTable] = /^table (\w+ [\w./:-]+) \{/.exec(line) ?? []
    const [, newName] = /^\s+chain (\S+) \{/.exec(line) ?? []
    const [, hook, rest = ''] = /^\s+type \S+ hook (\S+) (.*)/.exec(line) ?? []
    if (line.startsWith('table ')) table = newTable ?? ''
    if (newName && table) {
      name = newName
      chains.push({ table, name })
    }
    if (hook && table)
      chains[chains.length - 1] = { table, name, hook, policy: /policy (\w+)/.exec(rest)?.[1] ?? 'accept' }
  }
  return chains
}

/** What iptables-legacy has made: asked only where the kernel says that there is some, as asking makes tables. */
async function legacy(places: Places, texts: Map<string, string>) {
  const legacyTables: string[] = []
  const legacyChains: FirewallChain[] = []
  const unseenTables: string[] = []
  for (const [family, prefix] of [
    [4, 'ip'],
    [6, 'ip6'],
  ] as const) {
    const names = (places.read(`/proc/net/${prefix}_tables_names`) ?? '').split('\n').filter((name) => name !== '')
    if (names.length === 0) continue
    const saved = await outputOf(`${prefix}tables-legacy-save`) // there is no such program in the agent's image
    if (!saved) unseenTables.push(...names.map((name) => `${prefix} ${name}`))
    const chains = parseSaved(prefix, saved?.stdout ?? '')
    const closed = chains.filter(({ policy }) => policy === 'drop').map(({ table }) => table)
    legacyTables.push(
      ...names
        .filter((name) => hasLegacyRules(family, name) || closed.includes(`${prefix} ${name}`))
        .map((name) => `${prefix} ${name}`),
    )
    legacyChains.push(...chains)
    texts.set(`legacy ${prefix} filter`, saved?.stdout ?? '')
  }
  return { legacyTables, legacyChains, unseenTables }
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
