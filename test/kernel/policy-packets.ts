import { closeSync, readFileSync, writeFileSync } from 'node:fs'
import { bind } from '../../agent/kernel/libc.ts'
import type { Nftables } from '../../agent/kernel/nftables.ts'
import { LINK_GROUP } from '../../agent/ownership.ts'
import type { Packet } from '../agent/ruleset/tracer.ts'
import { PROTOCOL_NUMBERS } from '../agent/ruleset/tracer-values.ts'
import { until } from './agent.ts'
import { capture } from './scratch.ts'

/**
 * Real packets through the real forwarding kernel of a scratch node: each comes by the link it says, with a number of its
 * own, and is seen before all other rules and behind them. No pod has to live at either end.
 */

// include/uapi/linux/if_packet.h, if_ether.h
const AF_PACKET = 17
const SOCK_RAW = 3
const SOCKADDR_LL_BYTES = 20
const ETH_P_IP = 0x0800
const ETH_P_IPV6 = 0x86dd
/** Of all the node's ends, so that it takes the frames for itself. */
const NODE_MAC = '02:00:00:00:00:01'
/** Links from elsewhere than pods. */
const UPLINK = 'eth0'
const WENT_MS = 10_000

const socket = bind<[number, number, number]>('int socket(int domain, int type, int protocol)')
const sendto = bind<[number, Buffer, number, number, Buffer, number]>(
  'int sendto(int fd, const uint8_t *bytes, size_t count, int flags, const uint8_t *to, uint32_t toBytes)',
)

/** What came, and what was let through; by the number that each packet has. Before `raw`, behind all that filters. */
const WITNESS = `add table inet witness
delete table inet witness
table inet witness {
  set came4 { typeof ip id; flags dynamic; size 65535; }
  set came6 { typeof ip6 flowlabel; flags dynamic; size 65535; }
  set went4 { typeof ip id; flags dynamic; size 65535; }
  set went6 { typeof ip6 flowlabel; flags dynamic; size 65535; }
  chain came {
    type filter hook prerouting priority -400; policy accept;
    ip id != 0 add @came4 { ip id }
    ip6 flowlabel != 0 add @came6 { ip6 flowlabel }
  }
  chain went {
    type filter hook forward priority 400; policy accept;
    ip id != 0 add @went4 { ip id }
    ip6 flowlabel != 0 add @went6 { ip6 flowlabel }
  }
}`

export class PacketPath {
  readonly #nft: Nftables
  readonly #socket: number
  /** The other end of each link, by the node's. */
  readonly #ends: ReadonlyMap<string, number>
  /**
   * Of the last packet: none has that of another, and by it another connection, where it has no port of its own. Beyond
   * the ports that tests call: of two that call each other at theirs, one would be the other's reply.
   */
  #number = 10_000

  private constructor(nft: Nftables, ends: ReadonlyMap<string, number>) {
    this.#nft = nft
    this.#socket = socket(AF_PACKET, SOCK_RAW, 0)
    this.#ends = ends
  }

  /** @param links of pods */
  static async make(nft: Nftables, links: readonly string[]): Promise<PacketPath> {
    const settings = [
      'ipv4/ip_forward=1',
      'ipv4/conf/all/rp_filter=0',
      'ipv4/conf/default/rp_filter=0',
      'ipv6/conf/all/forwarding=1',
    ]
    for (const setting of settings) {
      const [path, value = ''] = setting.split('=')
      writeFileSync(`/proc/sys/net/${path}`, value)
    }
    const all = [...links, UPLINK]
    const lines = all.flatMap((link, index) => [
      `link add ${link} address ${NODE_MAC} group ${link === UPLINK ? 0 : LINK_GROUP.pods} type veth peer name end${index}`,
      `link set ${link} up`,
      `link set end${index} up`,
    ])
    // All that is forwarded ends there: no neighbour has to answer, and what comes out at the other end is for nobody.
    const away = [
      'link add away type veth peer name nowhere',
      'link set away arp off up',
      'link set nowhere up',
      'route add default dev away',
      'route add ::/0 dev away',
    ]
    const { exitCode, stderr } = await capture('ip', ['-batch', '-'], [...lines, ...away].join('\n'))
    if (exitCode !== 0) throw new Error(`ip: ${stderr}`)
    const ends = all.map(
      (link, index) => [link, Number(readFileSync(`/sys/class/net/end${index}/ifindex`, 'utf8'))] as const,
    )
    return new PacketPath(nft, new Map(ends))
  }

  /**
   * Sends them in order, and waits for those that should be let through.
   * @returns of each whether it was
   */
  async send(packets: readonly { readonly packet: Packet; readonly passes: boolean }[]): Promise<boolean[]> {
    await this.#nft.run(WITNESS)
    const sent = packets.map(({ packet, passes }) => ({ number: this.#send(packet), passes }))
    await until('all packets came', async () => isWithin(sent, await this.#seen('came')))
    const awaited = sent.filter(({ passes }) => passes)
    // What is not there by then was dropped: the caller tells which one.
    await until('they went on', async () => isWithin(awaited, await this.#seen('went')), WENT_MS).catch(() => {})
    const went = await this.#seen('went')
    return sent.map(({ number }) => went.has(number))
  }

  async #seen(what: 'came' | 'went'): Promise<Set<number>> {
    const found = new Set<number>()
    for (const family of [4, 6])
      for (const { set } of await this.#nft.list(`list set inet witness ${what}${family}`))
        for (const number of (set as { readonly elem?: readonly number[] }).elem ?? []) found.add(number)
    return found
  }

  close(): void {
    closeSync(this.#socket)
  }

  #send(packet: Packet): number {
    const number = ++this.#number
    const end = this.#ends.get(packet.iifname)
    if (end === undefined) throw new Error(`there is no link ${packet.iifname}`)
    const bytes = frame(packet, number)
    const to = Buffer.alloc(SOCKADDR_LL_BYTES)
    to.writeUInt16LE(AF_PACKET, 0)
    to.writeInt32LE(end, 4)
    sendto(this.#socket, bytes, bytes.length, 0, to, to.length)
    return number
  }
}

const isWithin = (sent: readonly { readonly number: number }[], all: ReadonlySet<number>) =>
  sent.every(({ number }) => all.has(number))

/** Whether a kernel without any rules forwards it: some addresses are of nobody, or of everybody. */
export function isRoutable(address: string): boolean {
  if (address.includes(':')) return /^(2|fd)/.test(address)
  const first = Number(address.split('.')[0])
  return first > 0 && first < 224 && first !== 127
}

/** The first packet of a connection; checksums of transports are left out. */
function frame(packet: Packet, number: number): Buffer {
  const isIpv6 = packet.source.includes(':')
  const body = transport(packet, isIpv6, number)
  const ip = isIpv6 ? ipv6(packet, number, body) : ipv4(packet, number, body)
  const type = isIpv6 ? ETH_P_IPV6 : ETH_P_IP
  return Buffer.concat([mac(NODE_MAC), mac(packet.etherSource), Buffer.from([type >> 8, type & 0xff]), ip, body])
}

const mac = (text: string) => Buffer.from(text.replaceAll(':', ''), 'hex')

function protocolOf({ protocol }: Packet, isIpv6: boolean): number {
  if (protocol === 'icmp' && isIpv6) return 58
  return PROTOCOL_NUMBERS[protocol] ?? Number(protocol)
}

function ipv4(packet: Packet, number: number, body: Buffer): Buffer {
  const header = Buffer.alloc(20)
  header.set([0x45])
  header.writeUInt16BE(header.length + body.length, 2)
  header.writeUInt16BE(number, 4)
  header.set([64, protocolOf(packet, false)], 8)
  for (const [at, address] of [packet.source, packet.destination].entries())
    header.set(address.split('.').map(Number), 12 + 4 * at)
  let sum = 0 // RFC 1071
  for (let offset = 0; offset < header.length; offset += 2) sum += header.readUInt16BE(offset)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  header.writeUInt16BE(~sum & 0xffff, 10)
  return header
}

function ipv6(packet: Packet, number: number, body: Buffer): Buffer {
  const header = Buffer.alloc(40)
  header.writeUInt32BE(0x6000_0000 + number, 0)
  header.writeUInt16BE(body.length, 4)
  header.set([protocolOf(packet, true), 64], 6)
  for (const [at, address] of [packet.source, packet.destination].entries()) header.set(bytesOf(address), 8 + 16 * at)
  return header
}

function bytesOf(address: string): Buffer {
  const [head = '', tail] = address.split('::')
  const groups = (part: string) => part.split(':').filter((group) => group !== '')
  const zeros = tail === undefined ? [] : Array<string>(8 - groups(head).length - groups(tail).length).fill('0')
  const all = [...groups(head), ...zeros, ...groups(tail ?? '')]
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex')
}

function transport({ protocol, sourcePort, destinationPort = 0 }: Packet, isIpv6: boolean, number: number): Buffer {
  const body = Buffer.alloc(20)
  if (protocol === 'icmp') {
    body.set([isIpv6 ? 128 : 8]) // echo request
    body.writeUInt16BE(number, 4)
    return body
  }
  body.writeUInt16BE(sourcePort ?? number, 0)
  body.writeUInt16BE(destinationPort, 2)
  if (protocol === 'tcp') body.set([0x50, 0x02], 12) // five words, SYN
  if (protocol === 'udp') body.writeUInt16BE(body.length, 4)
  return body
}
