import { isNotFound, KernelError } from '../kernel/errors.ts'
import { listLinks } from '../kernel/links.ts'
import type { Netlink } from '../kernel/netlink.ts'
import { listRoutesOf, listRulesOf, type Marked } from '../kernel/protocols.ts'
import { NODE_ROUTE_PROTOCOL, ROUTE_PROTOCOL } from '../ownership.ts'
import type { Step } from './step.ts'

const ROUTE_PROTOCOLS = [ROUTE_PROTOCOL, NODE_ROUTE_PROTOCOL]

/** Of all tables; those over a link of ours have gone with it by the time that the rest is removed. */
export function routes(netlink: Netlink): Step<Marked> {
  return {
    name: 'routes',
    list: async () => {
      const names = new Map((await listLinks(netlink)).map(({ index, name }) => [index, name]))
      return named('route', await listRoutesOf(netlink, ROUTE_PROTOCOLS, names))
    },
    remove: (found) => removeMarked(netlink, found),
  }
}

export function rules(netlink: Netlink): Step<Marked> {
  return {
    name: 'rules',
    list: async () => named('rule', await listRulesOf(netlink, [ROUTE_PROTOCOL])),
    remove: (found) => removeMarked(netlink, found),
  }
}

function named(kind: string, found: readonly Marked[]): Marked[] {
  return found.map(({ text, deletion }) => ({ text: `${kind} ${text}`, deletion }))
}

async function removeMarked(netlink: Netlink, found: readonly Marked[]): Promise<(Error | undefined)[]> {
  const outcomes = await netlink.trySend(found.map(({ deletion }) => deletion))
  return outcomes.map((outcome) => (outcome instanceof KernelError && !isNotFound(outcome) ? outcome : undefined))
}
