import type { TunnelLink } from '../desired/objects.ts'
import { isAlreadyExists, isNotFound, KernelError } from '../kernel/errors.ts'
import { addGreLink, parseGre } from '../kernel/gre.ts'
import { addIpipLink, parseIpip } from '../kernel/ipip.ts'
import {
  deleteLink,
  getLink,
  isBirth,
  type Link,
  listLinks,
  parseLink,
  RTM_DELLINK,
  RTM_NEWLINK,
  setLinkAddressGenerationOff,
  setLinkMtu,
  setLinkUp,
} from '../kernel/links.ts'
import type { NetlinkRequest } from '../kernel/message.ts'
import type { Netlink } from '../kernel/netlink.ts'
import { addVxlanLink, parseVxlan } from '../kernel/vxlan.ts'
import { addWireguardLink } from '../kernel/wireguard.ts'
import { isTunnelLink } from '../ownership.ts'
import type { Subsystem } from '../reconcile/subsystem.ts'
import { clearOtherNamespaces, clearTheWay, portTaken } from './in-the-way.ts'
import type { TunnelIndexes } from './tunnel-indexes.ts'
import type { WireguardDevice } from './wireguard-device.ts'

/** Our ends of the tunnels. */
export function links(
  netlink: Netlink,
  tunnels: TunnelIndexes,
  wireguard: WireguardDevice,
  hasIpv6: boolean,
): Subsystem<TunnelLink> {
  /** Changes what can be changed on the link that is there; makes a new one where its parameters are others. */
  const put = async (link: TunnelLink) => {
    const [shown] = await netlink.trySend([getLink(link.name)])
    let actual = Array.isArray(shown) && shown[0] ? parseLink(shown[0]) : undefined
    if (actual && !isTunnelLink(actual))
      throw new KernelError(`link ${link.name} is there and not of kind ${link.kind}`, 'EEXIST')
    if (actual && !isSameTunnel(link, readTunnel(actual, wireguard))) {
      await netlink.send([deleteLink(actual.index)])
      actual = undefined
    }
    if (!actual) {
      await clearTheWay(netlink, link)
      actual = await make(link).catch(async (error) => {
        if (!isAlreadyExists(error)) throw error
        await clearOtherNamespaces(netlink, link)
        return make(link)
      })
    }
    tunnels.set(link.name, actual.index)
    try {
      await configure(link, actual)
    } catch (error) {
      const isTaken = link.kind === 'wireguard' && error instanceof KernelError && error.errno === 'EADDRINUSE'
      throw isTaken ? portTaken(link) : error
    }
  }

  const make = async (link: TunnelLink) => {
    const [, made] = await netlink.send([addTunnel(link), getLink(link.name)])
    if (!made?.[0]) throw new KernelError(`link show ${link.name}`, 'ENODEV')
    return parseLink(made[0])
  }

  const configure = async (link: TunnelLink, actual: Link) => {
    if (link.kind === 'wireguard') await wireguard.configure(link)
    const mac = link.kind === 'vxlan' ? link.mac : actual.mac
    const isRight = actual.mtuBytes === link.mtuBytes && actual.mac === mac
    await netlink.send([
      ...(isRight ? [] : [setLinkMtu(actual.index, link.mtuBytes, link.kind === 'vxlan' ? mac : undefined)]),
      ...(hasIpv6 ? [setLinkAddressGenerationOff(actual.index)] : []),
      setLinkUp(actual.index),
    ])
  }

  const remove = async ({ name }: TunnelLink) => {
    const index = await tunnels.indexOf(name)
    tunnels.delete(name)
    const [outcome] = index === undefined ? [] : await netlink.trySend([deleteLink(index)])
    if (outcome instanceof KernelError && !isNotFound(outcome)) throw outcome
  }

  return {
    name: 'link',
    describe: describeTunnel,
    key: ({ name }) => name,
    equal: (a, b) => isSameTunnel(a, b) && isSameSetting(a, b),
    list: async () => {
      const ours = (await listLinks(netlink)).filter(isTunnelLink)
      tunnels.replaceAll(ours)
      await wireguard.look()
      return ours.map((link) => readTunnel(link, wireguard))
    },
    put: (objects) => Promise.all(objects.map(({ desired }) => attempt(() => put(desired)))),
    remove: (objects) => Promise.all(objects.map((link) => attempt(() => remove(link)))),
    read: (message) => {
      if (message.type !== RTM_NEWLINK && message.type !== RTM_DELLINK) return undefined
      if (isBirth(message)) return undefined // ours: of VXLAN the kernel does not say whose doing it is
      const link = parseLink(message)
      return isTunnelLink(link)
        ? { object: readTunnel(link, wireguard), isGone: message.type === RTM_DELLINK }
        : undefined
    },
  }
}

async function attempt(work: () => Promise<void>): Promise<Error | undefined> {
  try {
    await work()
    return undefined
  } catch (error) {
    return error as Error
  }
}

function addTunnel(link: TunnelLink): NetlinkRequest {
  switch (link.kind) {
    case 'vxlan':
      return addVxlanLink(link)
    case 'ipip':
      return addIpipLink(link)
    case 'gre':
      return addGreLink(link)
    case 'wireguard':
      return addWireguardLink(link)
  }
}

/** What the kernel says of a tunnel of ours. Where it is not readable, or down, all differs: it is put again. */
function readTunnel(link: Link, wireguard: WireguardDevice): TunnelLink {
  const { name, mac } = link
  const mtuBytes = link.isUp ? link.mtuBytes : 0
  switch (link.kind) {
    case 'ipip':
      return { kind: link.kind, name, local: parseIpip(link.parameters)?.local ?? '', mtuBytes }
    case 'gre':
      return { kind: link.kind, name, local: parseGre(link.parameters)?.local ?? '', mtuBytes }
    case 'wireguard':
      return { kind: link.kind, name, ...wireguard.identity, mtuBytes }
    default: {
      const { vni = 0, port = 0, local = '' } = parseVxlan(link.parameters) ?? {}
      return { kind: 'vxlan', name, vni, port, local, mac, mtuBytes }
    }
  }
}

/** What cannot be changed while the link lives. */
function isSameTunnel(a: TunnelLink, b: TunnelLink): boolean {
  if (a.kind === 'vxlan' && b.kind === 'vxlan') return a.vni === b.vni && a.port === b.port && a.local === b.local
  if (a.kind === 'wireguard' || b.kind === 'wireguard') return a.kind === b.kind
  return a.kind === b.kind && a.kind !== 'vxlan' && b.kind !== 'vxlan' && a.local === b.local
}

/** What can. */
function isSameSetting(a: TunnelLink, b: TunnelLink): boolean {
  if (a.mtuBytes !== b.mtuBytes) return false
  if (a.kind === 'vxlan' && b.kind === 'vxlan') return a.mac === b.mac
  if (a.kind === 'wireguard' && b.kind === 'wireguard') return a.publicKey === b.publicKey && a.port === b.port
  return true
}

function describeTunnel(link: TunnelLink): string {
  switch (link.kind) {
    case 'vxlan':
      return `link ${link.name} (VXLAN ${link.vni}, port ${link.port}, from ${link.local})`
    case 'wireguard':
      return `link ${link.name} (WireGuard, port ${link.port}, key ${link.publicKey})`
    default:
      return `link ${link.name} (${link.kind}, from ${link.local})`
  }
}
