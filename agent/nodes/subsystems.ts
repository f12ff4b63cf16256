import { ADDRESS_BITS, familyOf } from '../../ipam/address.ts'
import type { LinkAddress, LinkFdbEntry, LinkNeighbour, NodeRoute, VxlanLink } from '../desired/objects.ts'
import { addAddress, deleteAddress, listAddresses } from '../kernel/addresses.ts'
import { isAlreadyExists, isNotFound, KernelError } from '../kernel/errors.ts'
import { addFdbEntry, deleteFdbEntry, listFdb } from '../kernel/fdb.ts'
import {
  deleteLink,
  getLink,
  type Link,
  listLinks,
  parseLink,
  setLinkAddressGenerationOff,
  setLinkMtuAndMac,
  setLinkUp,
} from '../kernel/links.ts'
import type { NetlinkRequest } from '../kernel/message.ts'
import { addNeighbour, deleteNeighbour, listNeighbours } from '../kernel/neighbours.ts'
import type { Netlink } from '../kernel/netlink.ts'
import {
  addRoute,
  deleteRoute,
  type ListedRoute,
  listBlackholes,
  listRoutes,
  type Route,
  RT_TABLE_MAIN,
  replaceRoute,
} from '../kernel/routes.ts'
import { addVxlanLink, parseVxlan } from '../kernel/vxlan.ts'
import { isTunnelLink, NODE_ROUTE_PROTOCOL } from '../ownership.ts'
import type { Subsystem } from '../reconcile/subsystem.ts'

/** The kinds of kernel objects that join nodes, over one netlink socket. Links go by name, and are looked up when needed. */
export function nodeSubsystems(netlink: Netlink, hasIpv6: boolean) {
  const tunnels = new Map<string, number>()
  /** The destinations of our routes, as they were listed last. */
  let routed: ReadonlySet<string> = new Set()

  /** @returns undefined when there is no such link */
  const indexOf = async (name: string): Promise<number | undefined> => {
    const known = tunnels.get(name)
    if (known !== undefined) return known
    const [shown] = await netlink.trySend([getLink(name)])
    return Array.isArray(shown) && shown[0] ? parseLink(shown[0]).index : undefined
  }

  /** One request per object; `undefined` and what is gone already are fine where something is removed. */
  const sendEach = async <T extends { readonly link?: string }>(
    objects: readonly T[],
    request: (index: number, object: T) => NetlinkRequest,
    isRemoval: boolean,
  ): Promise<(Error | undefined)[]> => {
    const names = new Set(objects.flatMap(({ link }) => link ?? []))
    const indexes = new Map(await Promise.all([...names].map(async (name) => [name, await indexOf(name)] as const)))
    const present = objects.filter(({ link }) => link === undefined || indexes.get(link) !== undefined)
    const outcomes = await netlink.trySend(
      present.map((object) => request(indexes.get(object.link ?? '') ?? 0, object)),
    )
    const errors = new Map(
      present.map((object, position) => {
        const outcome = outcomes[position]
        const isError = outcome instanceof KernelError && !(isRemoval && isNotFound(outcome))
        return [object, isError ? outcome : undefined]
      }),
    )
    return objects.map((object) => {
      if (errors.has(object)) return errors.get(object)
      return isRemoval ? undefined : new KernelError(`link show ${object.link}`, 'ENODEV')
    })
  }

  const links: Subsystem<VxlanLink> = {
    name: 'link',
    describe: ({ name, vni, port, local }) => `link ${name} (VXLAN ${vni}, port ${port}, from ${local})`,
    key: ({ name }) => name,
    equal: (a, b) => isSameVxlan(a, b) && a.mac === b.mac && a.mtuBytes === b.mtuBytes,
    list: async () => {
      const ours = (await listLinks(netlink)).filter(isTunnelLink)
      tunnels.clear()
      for (const { name, index } of ours) tunnels.set(name, index)
      return ours.map(readVxlanLink)
    },
    put: (objects) => Promise.all(objects.map((link) => attempt(() => putVxlan(netlink, link, hasIpv6, tunnels)))),
    remove: (objects) =>
      Promise.all(
        objects.map(({ name }) =>
          attempt(async () => {
            const index = await indexOf(name)
            tunnels.delete(name)
            const [outcome] = index === undefined ? [] : await netlink.trySend([deleteLink(index)])
            if (outcome instanceof KernelError && !isNotFound(outcome)) throw outcome
          }),
        ),
      ),
  }

  const addresses: Subsystem<LinkAddress> = {
    name: 'address',
    describe: ({ address, link }) => `address ${address} on ${link}`,
    key: ({ address, link }) => `${link} ${address}`,
    equal: () => true,
    list: async () =>
      (await listAddresses(netlink)).flatMap(({ address, linkIndex }) => {
        const link = nameOf(tunnels, linkIndex)
        return link && !address.startsWith('fe80:') ? [{ link, address }] : [] // those the kernel makes by itself
      }),
    put: (objects) => sendEach(objects, (index, object) => addAddress(index, withLength(object)), false),
    remove: (objects) => sendEach(objects, (index, object) => deleteAddress(index, withLength(object)), true),
  }

  const neighbours: Subsystem<LinkNeighbour> = {
    name: 'neighbour',
    describe: ({ address, link }) => `neighbour ${address} on ${link}`,
    key: ({ address, link }) => `${link} ${address}`,
    equal: (a, b) => a.mac === b.mac,
    list: async () =>
      (await listNeighbours(netlink)).flatMap(({ address, mac, linkIndex }) => {
        const link = nameOf(tunnels, linkIndex)
        return link ? [{ link, address, mac }] : []
      }),
    put: (objects) => sendEach(objects, addNeighbour, false),
    remove: (objects) => sendEach(objects, deleteNeighbour, true),
  }

  const fdb: Subsystem<LinkFdbEntry> = {
    name: 'fdb entry',
    describe: ({ mac, remote, link }) => `fdb entry ${mac} to ${remote} on ${link}`,
    key: ({ mac, link }) => `${link} ${mac}`,
    equal: (a, b) => a.remote === b.remote,
    list: async () => {
      const lists = [...tunnels].map(async ([link, index]) =>
        (await listFdb(netlink, index)).map((entry) => ({ link, ...entry })),
      )
      return (await Promise.all(lists)).flat()
    },
    put: (objects) => sendEach(objects, addFdbEntry, false),
    remove: (objects) => sendEach(objects, deleteFdbEntry, true),
  }

  const routes: Subsystem<NodeRoute & { readonly linkIndex?: number }> = {
    name: 'route',
    describe: ({ destination, gateway, link }) =>
      link ? `route ${destination} via ${gateway} dev ${link}` : `route blackhole ${destination}`,
    key: ({ destination }) => destination,
    equal: (a, b) => a.gateway === b.gateway && a.link === b.link,
    list: async () => {
      const [names, ...lists] = await Promise.all([
        linkNames(netlink),
        listRoutes(netlink, 4),
        listRoutes(netlink, 6),
        listBlackholes(netlink, 4),
        listBlackholes(netlink, 6),
      ])
      const ours = lists
        .flat()
        .filter(({ protocol, table }) => protocol === NODE_ROUTE_PROTOCOL && table === RT_TABLE_MAIN)
      routed = new Set(ours.map(({ destination }) => destination))
      return ours.map((route) => readNodeRoute(route, names))
    },
    // Replacing goes by destination and does not ask whose the route is: only over our own, which diff found.
    put: async (objects) => {
      const request = (index: number, object: NodeRoute) =>
        (routed.has(object.destination) ? replaceRoute : addRoute)(index, kernelRoute(object))
      const errors = await sendEach(objects, request, false)
      return errors.map((error) =>
        isAlreadyExists(error) ? new KernelError('another program has this route', 'EEXIST') : error,
      )
    },
    // By what the kernel listed: the link may have lost its name meanwhile.
    remove: async (objects) => {
      const requests = objects.map((object) => deleteRoute(object.linkIndex ?? 0, kernelRoute(object)))
      const outcomes = await netlink.trySend(requests)
      return outcomes.map((outcome) => (outcome instanceof KernelError && !isNotFound(outcome) ? outcome : undefined))
    },
  }

  const isTunnel = (index: number) => nameOf(tunnels, index) !== undefined
  return { links, addresses, neighbours, fdb, routes, isTunnel }
}

async function attempt(work: () => Promise<void>): Promise<Error | undefined> {
  try {
    await work()
    return undefined
  } catch (error) {
    return error as Error
  }
}

/** Changes what can be changed on the link that is there; makes a new one where its parameters are others. */
async function putVxlan(netlink: Netlink, link: VxlanLink, hasIpv6: boolean, tunnels: Map<string, number>) {
  const [shown] = await netlink.trySend([getLink(link.name)])
  let actual = Array.isArray(shown) && shown[0] ? parseLink(shown[0]) : undefined
  if (actual && !isTunnelLink(actual))
    throw new KernelError(`link ${link.name} is there and not of kind vxlan`, 'EEXIST')
  if (actual && !isSameVxlan(link, readVxlanLink(actual))) {
    await netlink.send([deleteLink(actual.index)])
    actual = undefined
  }
  if (!actual) {
    const [, made] = await netlink.send([addVxlanLink(link), getLink(link.name)])
    if (!made?.[0]) throw new KernelError(`link show ${link.name}`, 'ENODEV')
    actual = parseLink(made[0])
  }
  tunnels.set(link.name, actual.index)
  await netlink.send([
    setLinkMtuAndMac(actual.index, link.mtuBytes, link.mac),
    ...(hasIpv6 ? [setLinkAddressGenerationOff(actual.index)] : []),
    setLinkUp(actual.index),
  ])
}

/** Of a link whose parameters are not readable, or that is down, all differs: it is put again. */
function readVxlanLink(link: Link): VxlanLink {
  const { vni = 0, port = 0, local = '' } = parseVxlan(link.parameters) ?? {}
  return { name: link.name, vni, port, local, mac: link.mac, mtuBytes: link.isUp ? link.mtuBytes : 0 }
}

function isSameVxlan(a: VxlanLink, b: VxlanLink): boolean {
  return a.vni === b.vni && a.port === b.port && a.local === b.local
}

function withLength({ address }: LinkAddress) {
  return { address, prefixLength: ADDRESS_BITS[familyOf(address)] }
}

function nameOf(tunnels: ReadonlyMap<string, number>, index: number): string | undefined {
  for (const [name, tunnel] of tunnels) if (tunnel === index) return name
  return undefined
}

async function linkNames(netlink: Netlink): Promise<Map<number, string>> {
  return new Map((await listLinks(netlink)).map(({ index, name }) => [index, name]))
}

function readNodeRoute(route: ListedRoute, names: ReadonlyMap<number, string>) {
  const { destination, gateway, linkIndex, isBlackhole } = route
  if (isBlackhole) return { destination, linkIndex: 0 }
  return { destination, link: names.get(linkIndex) ?? '', ...(gateway && { gateway }), linkIndex }
}

function kernelRoute({ destination, link, gateway, isOnlink }: NodeRoute): Route {
  return {
    destination,
    ...(gateway && { gateway }),
    ...(isOnlink && { isOnlink }),
    ...(link === undefined && { isBlackhole: true }),
    table: RT_TABLE_MAIN,
    metric: 0,
    protocol: NODE_ROUTE_PROTOCOL,
  }
}
