import { isNotFound, KernelError } from '../kernel/errors.ts'
import type { NetlinkRequest } from '../kernel/message.ts'
import type { Netlink } from '../kernel/netlink.ts'
import type { TunnelIndexes } from './tunnel-indexes.ts'

type Outcome = Error | undefined

/** How objects that lie on links are put and removed: one request each, with the link's index looked up by its name. */
export function onLink(netlink: Netlink, tunnels: TunnelIndexes) {
  const send = async <T extends { readonly link?: string }>(
    objects: readonly T[],
    request: (linkIndex: number, object: T, position: number) => NetlinkRequest,
    isFine: (error: KernelError) => boolean,
    withoutLink: (name: string) => Outcome,
  ): Promise<Outcome[]> => {
    const names = new Set(objects.flatMap(({ link }) => link ?? []))
    const indexes = new Map(
      await Promise.all([...names].map(async (name) => [name, await tunnels.indexOf(name)] as const)),
    )
    const outcomes: Outcome[] = objects.map(({ link }) =>
      link === undefined || indexes.get(link) !== undefined ? undefined : withoutLink(link),
    )
    const present = objects.flatMap((object, position) => {
      const index = object.link === undefined ? 0 : indexes.get(object.link)
      return index === undefined ? [] : [{ position, message: request(index, object, position) }]
    })
    const answers = await netlink.trySend(present.map(({ message }) => message))
    for (const [order, answer] of answers.entries()) {
      const position = present[order]?.position
      if (position !== undefined && answer instanceof KernelError && !isFine(answer)) outcomes[position] = answer
    }
    return outcomes
  }
  return {
    /** An object without `link` needs none. */
    put: <T extends { readonly link?: string }>(
      objects: readonly T[],
      request: (linkIndex: number, object: T, position: number) => NetlinkRequest,
    ) =>
      send(
        objects,
        request,
        () => false,
        (name) => new KernelError(`link show ${name}`, 'ENODEV'),
      ),
    /** What is gone already, or went with its link, is removed. */
    remove: <T extends { readonly link?: string }>(
      objects: readonly T[],
      request: (linkIndex: number, object: T) => NetlinkRequest,
    ) => send(objects, request, isNotFound, () => undefined),
  }
}
