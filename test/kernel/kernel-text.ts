import { notrackLines, setLine } from '../states/kernel-text.ts'
import { runIn } from './node.ts'
import { capture } from './scratch.ts'

/** All of a node's kernel that is ours, in the words of test/states/kernel-text.ts. @param netns its path; absent: the scratch node */
export async function kernelTextOf(netns: string | undefined): Promise<string> {
  const [links, addresses, neighbours, fdb, wireguard, ...rest] = await Promise.all([
    lines(netns, 'ip', '-details', '-oneline', 'link', 'show'),
    lines(netns, 'ip', '-oneline', 'address', 'show'),
    lines(netns, 'ip', 'neighbour', 'show', 'nud', 'all'),
    lines(netns, 'bridge', 'fdb', 'show'),
    linesOfSome(netns, 'wg', 'show', 'bramble.wg', 'dump'),
    lines(netns, 'ip', '-4', 'route', 'show', 'proto', '97'),
    lines(netns, 'ip', '-6', 'route', 'show', 'proto', '97'),
    nftablesLines(netns),
  ])
  return [
    ...links.flatMap((line) => linkLine(line, wireguard[0])),
    ...wireguard.slice(1).map(peerLine),
    ...addresses.flatMap(addressLine),
    ...neighbours.filter(isOnTunnel).map((line) => `neigh ${line}`),
    ...fdb.filter(isOnTunnel).map((line) => `fdb ${line}`),
    ...rest.flat().map(withoutDefaults),
  ].join('\n')
}

async function lines(netns: string | undefined, ...command: readonly [string, ...string[]]): Promise<string[]> {
  return trimmed(await runIn(netns, ...command))
}

/** None where there is nothing to show. */
async function linesOfSome(netns: string | undefined, ...command: readonly string[]): Promise<string[]> {
  const [program = '', ...args] = netns ? ['nsenter', `--net=${netns}`, ...command] : command
  return trimmed((await capture(program, args)).stdout)
}

function trimmed(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
}

/** `7: bramble.vxlan: <BROADCAST,UP> mtu 1450 … link/ether 66:… vxlan id 4096 local … dstport 4789 nolearning …` */
function linkLine(line: string, wireguard = ''): string[] {
  const [, name, flags = '', mtu] = /^\d+: (bramble\.\w+)(?:@\w+)?: <([^>]*)> (mtu \d+) /.exec(line) ?? []
  if (name === undefined) return []
  const words = (pattern: RegExp) => pattern.exec(line)?.slice(1).join(' ') ?? `no ${pattern.source}`
  const [, publicKey, port] = wireguard.split('\t')
  const parameters = line.includes(' vxlan id ')
    ? `lladdr ${words(/link\/ether (\S+)/)} ${words(/(vxlan id \d+).* (local \S+).* (dstport \d+) (nolearning)?/)}`
    : name === 'bramble.wg'
      ? `wireguard public-key ${publicKey} listen-port ${port}`
      : words(/ (ipip|gre) .*(local \S+)/)
  return [`link ${name} ${flags.split(',').includes('UP') ? 'UP' : 'DOWN'} ${mtu} ${parameters}`]
}

/** As `wg show dump` has it: key, preshared key, endpoint, allowed IPs, and what changes by itself. */
function peerLine(line: string): string {
  const [publicKey, , endpoint, allowedIps = ''] = line.split('\t')
  return `peer ${publicKey} endpoint ${endpoint} allowed-ips ${allowedIps.split(',').sort().join(',')}`
}

/** `7: bramble.vxlan    inet 10.42.1.0/32 scope global …`; link-local ones are the kernel's own. */
function addressLine(line: string): string[] {
  const [, link, address] = /^\d+: (bramble\.\w+)\s+inet6? (\S+)/.exec(line) ?? []
  return link === undefined || address?.startsWith('fe80:') ? [] : [`inet ${address} dev ${link}`]
}

function isOnTunnel(line: string): boolean {
  return line.includes(' dev bramble.') && !/ (NOARP|lladdr 33:33:)/.test(line)
}

/** What every IPv6 route says, and every one of IPv4 without a gateway. */
function withoutDefaults(line: string): string {
  return line
    .replace(/^(blackhole \S+) dev lo /, '$1 ')
    .replace(/ metric 1024\b/, '')
    .replace(' pref medium', '')
    .replace(' scope link', '')
    .trim()
}

/** The sets that have elements, and what is not tracked: of our tables, as no other has either; that of policies tells of other things. */
async function nftablesLines(netns: string | undefined): Promise<string[]> {
  const ruleset = (await lines(netns, 'nft', 'list', 'ruleset')).join('\n')
  const tables = ruleset.split(/^(?=table )/m).filter((text) => !text.startsWith('table inet bramble-policy '))
  const listed = tables.join('\n')
  const sets = Array.from(listed.matchAll(/set (\S+) \{[^}]*elements = \{([^}]*)\}/g), ([, set = '', elements = '']) =>
    setLine(
      set,
      elements.split(',').map((element) => element.trim()),
    ),
  )
  return [...sets, ...notrackLines(listed)]
}
