import { ADDRESS_BITS, addressBytes, addressOf, familyOf } from '../../ipam/address.ts'
import { AF } from './addresses.ts'
import { attribute, nested, readAttributes, readElements, readU32, u8, u32 } from './attributes.ts'
import { type GenericMessage, genericAttributes, genericRequest } from './generic-netlink.ts'
import type { NetlinkMessage, NetlinkRequest } from './message.ts'
import { type NewLink, newLink } from './new-link.ts'

/**
 * WireGuard: the link as any other, its key, port and peers by generic netlink. The `netlink` package has codecs for
 * it, but they cannot speak with a kernel (0.3.0): its commands are one too high, what it nests lacks NLA_F_NESTED,
 * which the kernel demands, and it refuses lists whose elements are all of type 0, as the kernel writes peers.
 */

// include/uapi/linux/wireguard.h
export const WIREGUARD_FAMILY = 'wireguard'
const WG_GENL_VERSION = 1
const WG_CMD_GET_DEVICE = 0
const WG_CMD_SET_DEVICE = 1
const WGDEVICE_A_IFINDEX = 1
const WGDEVICE_A_PRIVATE_KEY = 3
const WGDEVICE_A_PUBLIC_KEY = 4
const WGDEVICE_A_LISTEN_PORT = 6
const WGDEVICE_A_FWMARK = 7
const WGDEVICE_A_PEERS = 8
const WGPEER_A_PUBLIC_KEY = 1
const WGPEER_A_FLAGS = 3
const WGPEER_A_ENDPOINT = 4
const WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL = 5
const WGPEER_A_LAST_HANDSHAKE_TIME = 6
const WGPEER_A_RX_BYTES = 7
const WGPEER_A_TX_BYTES = 8
const WGPEER_A_ALLOWEDIPS = 9
const WGALLOWEDIP_A_FAMILY = 1
const WGALLOWEDIP_A_IPADDR = 2
const WGALLOWEDIP_A_CIDR_MASK = 3
const WGPEER_F_REMOVE_ME = 1
const WGPEER_F_REPLACE_ALLOWEDIPS = 2
/** struct sockaddr_in, struct sockaddr_in6 (include/uapi/linux/in.h, in6.h) */
const SOCKADDR_BYTES = { 4: 16, 6: 28 } as const
const SOCKADDR_ADDRESS = { 4: 4, 6: 8 } as const

export function addWireguardLink(link: NewLink): NetlinkRequest {
  return newLink({ ...link, kind: 'wireguard' })
}

/** UDP, to which the peer's packets are sent until one comes from elsewhere. */
export interface Endpoint {
  readonly address: string
  readonly port: number
}

/** A peer as it should be. */
export interface WireguardPeer {
  /** base64, as `wg` shows it; by it a peer is known. */
  readonly publicKey: string
  readonly endpoint?: Endpoint
  /** What is sent to the peer, and what it may send: `10.42.1.0/24`. An address block has one peer, the last that got it. */
  readonly allowedIps: readonly string[]
  /** 0 is never. */
  readonly keepaliveSeconds: number
}

export interface ListedWireguardPeer extends WireguardPeer {
  /** By the wall clock, since 1970; absent before the first. */
  readonly lastHandshakeMs?: number
  readonly rxBytes: bigint
  readonly txBytes: bigint
}

export interface WireguardDevice {
  /** Absent as long as it has no private key. */
  readonly publicKey?: string
  readonly listenPort: number
  readonly firewallMark: number
  readonly peers: readonly ListedWireguardPeer[]
}

/** The link of one network namespace, and the message type that findFamily gave for it. */
export interface WireguardTarget {
  readonly family: number
  readonly linkIndex: number
}

/** For Netlink.dump; the answer, however many messages it has, is for parseWireguard. */
export function getWireguard(target: WireguardTarget): NetlinkRequest {
  return wireguardRequest(`wg show ${target.linkIndex}`, WG_CMD_GET_DEVICE, target)
}

/**
 * @param device privateKey is base64. Peers stay; all of them shake hands again when the key is another one.
 */
export function setWireguard(
  target: WireguardTarget,
  device: { readonly privateKey: string; readonly listenPort: number },
): NetlinkRequest {
  const port = Buffer.alloc(2)
  port.writeUInt16LE(device.listenPort)
  return wireguardRequest(
    `wg set ${target.linkIndex} private-key … listen-port ${device.listenPort}`,
    WG_CMD_SET_DEVICE,
    target,
    attribute(WGDEVICE_A_LISTEN_PORT, port),
    attribute(WGDEVICE_A_PRIVATE_KEY, keyBytes(device.privateKey)),
  )
}

/**
 * Adds the peer or changes it to be so; its session lives on. One peer per message, so that each has an outcome of its
 * own and no message grows with the cluster: Netlink sends a hundred of them in one system call.
 */
export function putWireguardPeer(target: WireguardTarget, peer: WireguardPeer): NetlinkRequest {
  const keepalive = Buffer.alloc(2)
  keepalive.writeUInt16LE(peer.keepaliveSeconds)
  return peerRequest(
    `wg set ${target.linkIndex} peer ${peer.publicKey} allowed-ips ${peer.allowedIps.join(',')}`,
    target,
    peer.publicKey,
    WGPEER_F_REPLACE_ALLOWEDIPS,
    ...(peer.endpoint ? [attribute(WGPEER_A_ENDPOINT, endpointBytes(peer.endpoint))] : []),
    attribute(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, keepalive),
    nested(WGPEER_A_ALLOWEDIPS, ...peer.allowedIps.map(allowedIp)),
  )
}

/** Absent is success. */
export function removeWireguardPeer(target: WireguardTarget, publicKey: string): NetlinkRequest {
  return peerRequest(`wg set ${target.linkIndex} peer ${publicKey} remove`, target, publicKey, WGPEER_F_REMOVE_ME)
}

/**
 * @param messages the answer to getWireguard. A peer whose allowed addresses do not fit into one message goes on in the
 *   next, with its key and nothing else but addresses.
 */
export function parseWireguard(messages: readonly NetlinkMessage[]): WireguardDevice {
  const peers = new Map<string, ListedWireguardPeer>()
  let device: Omit<WireguardDevice, 'peers'> = { listenPort: 0, firewallMark: 0 }
  for (const message of messages) {
    const attributes = genericAttributes(message)
    const publicKey = attributes.get(WGDEVICE_A_PUBLIC_KEY)
    const listenPort = attributes.get(WGDEVICE_A_LISTEN_PORT)
    if (listenPort)
      device = {
        ...(publicKey && { publicKey: publicKey.toString('base64') }),
        listenPort: listenPort.readUInt16LE(0),
        firewallMark: readU32(attributes.get(WGDEVICE_A_FWMARK)) ?? 0,
      }
    for (const bytes of readElements(attributes.get(WGDEVICE_A_PEERS))) {
      const peer = parsePeer(bytes)
      const begun = peers.get(peer.publicKey)
      peers.set(peer.publicKey, begun ? { ...begun, allowedIps: [...begun.allowedIps, ...peer.allowedIps] } : peer)
    }
  }
  return { ...device, peers: [...peers.values()] }
}

function parsePeer(bytes: Buffer): ListedWireguardPeer {
  const attributes = readAttributes(bytes)
  const endpoint = attributes.get(WGPEER_A_ENDPOINT)
  const handshakeMs = readTimeMs(attributes.get(WGPEER_A_LAST_HANDSHAKE_TIME))
  return {
    publicKey: attributes.get(WGPEER_A_PUBLIC_KEY)?.toString('base64') ?? '',
    ...(endpoint && { endpoint: parseEndpoint(endpoint) }),
    allowedIps: readElements(attributes.get(WGPEER_A_ALLOWEDIPS)).map(parseAllowedIp),
    keepaliveSeconds: attributes.get(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL)?.readUInt16LE(0) ?? 0,
    ...(handshakeMs && { lastHandshakeMs: handshakeMs }),
    rxBytes: attributes.get(WGPEER_A_RX_BYTES)?.readBigUInt64LE(0) ?? 0n,
    txBytes: attributes.get(WGPEER_A_TX_BYTES)?.readBigUInt64LE(0) ?? 0n,
  }
}

function peerRequest(
  name: string,
  target: WireguardTarget,
  publicKey: string,
  flags: number,
  ...attributes: readonly Buffer[]
): NetlinkRequest {
  const peer = nested(0, attribute(WGPEER_A_PUBLIC_KEY, keyBytes(publicKey)), u32(WGPEER_A_FLAGS, flags), ...attributes)
  return wireguardRequest(name, WG_CMD_SET_DEVICE, target, nested(WGDEVICE_A_PEERS, peer))
}

function wireguardRequest(
  name: string,
  command: number,
  { family, linkIndex }: WireguardTarget,
  ...attributes: readonly Buffer[]
): NetlinkRequest {
  const message: GenericMessage = { family, command, version: WG_GENL_VERSION }
  return genericRequest(name, message, u32(WGDEVICE_A_IFINDEX, linkIndex), ...attributes)
}

/** @throws RangeError when the text is no key; callers pass what was read from a key file or checked when it came */
function keyBytes(key: string): Buffer {
  const bytes = Buffer.from(key, 'base64')
  if (bytes.length !== 32) throw new RangeError(`Cannot parse WireGuard key of ${key.length} characters`)
  return bytes
}

function allowedIp(cidr: string): Buffer {
  const [address = '', prefixLength] = cidr.split('/')
  const family = Buffer.alloc(2)
  family.writeUInt16LE(AF[familyOf(address)])
  return nested(
    0,
    attribute(WGALLOWEDIP_A_FAMILY, family),
    attribute(WGALLOWEDIP_A_IPADDR, addressBytes(address)),
    u8(WGALLOWEDIP_A_CIDR_MASK, Number(prefixLength ?? ADDRESS_BITS[familyOf(address)])),
  )
}

function parseAllowedIp(bytes: Buffer): string {
  const attributes = readAttributes(bytes)
  const address = attributes.get(WGALLOWEDIP_A_IPADDR) ?? Buffer.alloc(4)
  return `${addressOf(address)}/${attributes.get(WGALLOWEDIP_A_CIDR_MASK)?.[0] ?? 0}`
}

function endpointBytes({ address, port }: Endpoint): Buffer {
  const family = familyOf(address)
  const bytes = Buffer.alloc(SOCKADDR_BYTES[family])
  bytes.writeUInt16LE(AF[family], 0)
  bytes.writeUInt16BE(port, 2)
  bytes.set(addressBytes(address), SOCKADDR_ADDRESS[family])
  return bytes
}

function parseEndpoint(bytes: Buffer): Endpoint {
  const family = bytes.readUInt16LE(0) === AF[4] ? 4 : 6
  const start = SOCKADDR_ADDRESS[family]
  return { address: addressOf(bytes.subarray(start, start + ADDRESS_BITS[family] / 8)), port: bytes.readUInt16BE(2) }
}

/** struct __kernel_timespec. @returns undefined for zero, which is never */
function readTimeMs(time: Buffer | undefined): number | undefined {
  if (!time) return undefined
  return Number(time.readBigInt64LE(0)) * 1000 + Math.floor(Number(time.readBigInt64LE(8)) / 1e6) || undefined
}
