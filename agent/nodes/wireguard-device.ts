import type { WireguardLink, WireguardPeer } from '../desired/objects.ts'
import { KernelError } from '../kernel/errors.ts'
import { findFamily } from '../kernel/generic-netlink.ts'
import { Netlink } from '../kernel/netlink.ts'
import { NETLINK_PROTOCOL } from '../kernel/netlink-socket.ts'
import {
  getWireguard,
  parseWireguard,
  putWireguardPeer,
  removeWireguardPeer,
  setWireguard,
  WIREGUARD_FAMILY,
  type WireguardTarget,
} from '../kernel/wireguard.ts'
import { TUNNEL_LINKS } from '../ownership.ts'
import type { Subsystem } from '../reconcile/subsystem.ts'
import { PeerSilence } from './peer-silence.ts'
import type { TunnelIndexes } from './tunnel-indexes.ts'

const LINK = TUNNEL_LINKS.wireguard
const NOWHERE = { address: '', port: 0 }

/** What lies behind our WireGuard link and is not told by rtnetlink: its key and port, and its peers. */
export class WireguardDevice {
  readonly #tunnels: TunnelIndexes
  readonly #privateKey: string | undefined
  #socket: Netlink | undefined
  #family: number | undefined
  #identity = { publicKey: '', port: 0 }
  #listed: readonly WireguardPeer[] = []
  /** Where we said that a peer is: it may be elsewhere by now (NAT), and WireGuard follows it by itself, as long as it answers. */
  readonly #endpoints = new Map<string, WireguardPeer['endpoint']>()

  readonly #silence = new PeerSilence()

  /** @param privateKey base64; absent: this agent takes part in no WireGuard, and only removes what is left over */
  constructor(tunnels: TunnelIndexes, privateKey: string | undefined) {
    this.#tunnels = tunnels
    this.#privateKey = privateKey
  }

  /** As it was when it was looked at last. */
  get identity(): { readonly publicKey: string; readonly port: number } {
    return this.#identity
  }

  /** Reads the link's key, port and peers, where there is one. @throws KernelError */
  async look(): Promise<{ readonly publicKey: string; readonly port: number }> {
    this.#identity = { publicKey: '', port: 0 }
    this.#listed = []
    const target = await this.#target()
    if (!target) return this.#identity
    const device = parseWireguard(await this.#generic().dump(getWireguard(target)))
    this.#identity = { publicKey: device.publicKey ?? '', port: device.listenPort }
    this.#silence.forgetOthers(device.peers)
    this.#listed = device.peers.map((peer) => {
      const { publicKey, endpoint = NOWHERE, allowedIps, keepaliveSeconds } = peer
      const place = this.#silence.isSilent(peer, performance.now()) ? undefined : this.#endpoints.get(publicKey)
      return { link: LINK, publicKey, endpoint: place ?? endpoint, allowedIps, keepaliveSeconds }
    })
    return this.#identity
  }

  /** Gives the link its key and port. @throws KernelError */
  async configure({ port }: WireguardLink): Promise<void> {
    const target = await this.#target()
    if (!target) throw new KernelError(`link show ${LINK}`, 'ENODEV')
    if (this.#privateKey === undefined) throw new Error(`${LINK} has no private key`)
    await this.#generic().send([setWireguard(target, { privateKey: this.#privateKey, listenPort: port })])
  }

  /** Known by their keys. */
  readonly peers: Subsystem<WireguardPeer> = {
    name: 'peer',
    describe: ({ publicKey, endpoint, link }) => `peer ${publicKey} at ${endpoint.address} on ${link}`,
    key: ({ publicKey }) => publicKey,
    equal: (a, b) => textOf(a) === textOf(b),
    list: async () => [...this.#listed],
    put: async (objects) => {
      for (const { desired } of objects) this.#endpoints.set(desired.publicKey, desired.endpoint)
      const target = await this.#target()
      if (!target) return objects.map(() => new KernelError(`link show ${LINK}`, 'ENODEV'))
      return this.#send(objects.map(({ desired }) => putWireguardPeer(target, desired)))
    },
    remove: async (objects) => {
      for (const { publicKey } of objects) this.#endpoints.delete(publicKey)
      const target = await this.#target()
      if (!target) return objects.map(() => undefined)
      return this.#send(objects.map(({ publicKey }) => removeWireguardPeer(target, publicKey)))
    },
  }

  close(): void {
    this.#socket?.close()
  }

  async #send(requests: Parameters<Netlink['trySend']>[0]): Promise<(Error | undefined)[]> {
    const outcomes = await this.#generic().trySend(requests)
    return outcomes.map((outcome) => (outcome instanceof KernelError ? outcome : undefined))
  }

  /** @returns undefined when there is no such link */
  async #target(): Promise<WireguardTarget | undefined> {
    const linkIndex = this.#tunnels.own(LINK)
    if (linkIndex === undefined) return undefined
    this.#family ??= await findFamily(this.#generic(), WIREGUARD_FAMILY)
    return { family: this.#family, linkIndex }
  }

  #generic(): Netlink {
    this.#socket ??= new Netlink(NETLINK_PROTOCOL.generic)
    return this.#socket
  }
}

function textOf({ endpoint, allowedIps, keepaliveSeconds }: WireguardPeer): string {
  return [endpoint.address, endpoint.port, keepaliveSeconds, ...allowedIps.toSorted()].join(' ')
}
