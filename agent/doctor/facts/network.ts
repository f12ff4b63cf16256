import { listAddresses } from '../../kernel/addresses.ts'
import { listLinks, listMasters } from '../../kernel/links.ts'
import { Netlink } from '../../kernel/netlink.ts'
import { listDefaultRouteLinks, listRoutes, RT_TABLE_MAIN } from '../../kernel/routes.ts'
import { listTableRules } from '../../kernel/rules.ts'
import { isPodLink, isRenamedPodLink, isTunnelLink, NODE_ROUTE_PROTOCOL, ROUTE_PROTOCOL } from '../../ownership.ts'
import type { LinkKeepers, Network } from '../facts.ts'
import type { Places } from '../places.ts'

/** @throws KernelError */
export async function network(places: Places): Promise<Network> {
  const netlink = new Netlink()
  try {
    const links = await listLinks(netlink)
    const masters = await listMasters(netlink)
    const addresses = await listAddresses(netlink)
    const routes = [
      ...(await listRoutes(netlink, 4, NODE_ROUTE_PROTOCOL)),
      ...(await listRoutes(netlink, 6, NODE_ROUTE_PROTOCOL)),
    ]
    const theirs = routes.filter(({ table, protocol }) => table === RT_TABLE_MAIN && protocol !== ROUTE_PROTOCOL)
    const rules = await Promise.all(
      ([4, 6] as const).map(async (family) =>
        (await listTableRules(netlink, family)).map((rule) => ({ ...rule, family })),
      ),
    )
    const uplinks = [...(await listDefaultRouteLinks(netlink, 4)), ...(await listDefaultRouteLinks(netlink, 6))]
    const isOurs = (link: (typeof links)[number]) => isPodLink(link) || isRenamedPodLink(link) || isTunnelLink(link)
    const foreign = new Map(links.filter((link) => !isOurs(link)).map(({ index, name }) => [index, name]))
    return {
      links: links.map((link) => ({
        name: link.name,
        kind: link.kind,
        isOurs: isOurs(link),
        isWireless: ['wireless', 'phy80211'].some((mark) => places.has(`/sys/class/net/${link.name}/${mark}`)),
        isUplink: uplinks.includes(link.index),
        hasPorts: masters.has(link.index),
        addresses: addresses
          .filter(({ linkIndex }) => linkIndex === link.index)
          .map(({ address, prefixLength }) => `${address}/${prefixLength}`),
      })),
      routes: theirs.flatMap(({ destination, linkIndex, isBlackhole }) => {
        const link = foreign.get(linkIndex)
        return link !== undefined && !isBlackhole && !destination.startsWith('fe80:') ? [{ destination, link }] : []
      }),
      blackholes: theirs.flatMap(({ destination, protocol, isBlackhole }) =>
        isBlackhole ? [{ destination, protocol }] : [],
      ),
      rules: rules.flat().filter(({ protocol }) => protocol !== ROUTE_PROTOCOL && protocol !== NODE_ROUTE_PROTOCOL),
    }
  } finally {
    netlink.close()
  }
}

const folders = (...below: readonly string[]) =>
  ['/usr/lib', '/etc', '/run'].flatMap((root) => below.map((one) => `${root}/${one}`))

/** @throws Error in a pod */
export function keepers(places: Places): LinkKeepers {
  places.needNode()
  const says = (paths: readonly string[], words: RegExp) =>
    paths.some((folder) => places.list(folder).some((name) => words.test(places.read(`${folder}/${name}`) ?? '')))
  return {
    networkManager: {
      runs: places.has('/run/NetworkManager'),
      leavesOurs:
        says(folders('udev/rules.d'), /brm\*.*NM_UNMANAGED/) ||
        says(folders('NetworkManager/conf.d', 'NetworkManager'), /^\s*unmanaged-devices\s*\+?=.*brm\*/m),
    },
    networkd: {
      runs: places.has('/run/systemd/netif/state'),
      leavesOurs: says(folders('systemd/networkd.conf.d', 'systemd'), /^\s*ManageForeignRoutes\s*=\s*(no|false|0)\b/m),
    },
  }
}
