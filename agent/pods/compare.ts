import type { Address } from '../kernel/addresses.ts'
import type { Link } from '../kernel/links.ts'
import type { Neighbour } from '../kernel/neighbours.ts'
import type { Route } from '../kernel/routes.ts'
import type { Rule } from '../kernel/rules.ts'
import type { Sysctl } from '../kernel/sysctl.ts'
import { type Comparison, diff } from '../reconcile/diff.ts'
import type { LinkSide } from './attachment.ts'

/** One end of an attachment as the kernel lists it. */
export interface ObservedSide {
  readonly link: Link
  readonly sysctls: readonly Sysctl[]
  readonly addresses: readonly Address[]
  readonly routes: readonly Route[]
  readonly rules: readonly Rule[]
  readonly neighbours: readonly Neighbour[]
}

/** Every difference in words; what is there besides is nobody's fault. Pure. */
export function compareSides(where: string, desired: LinkSide, observed: ObservedSide | undefined): string[] {
  if (!observed) return [`link ${desired.linkName} is missing ${where}`]
  return [
    ...(observed.link.isUp ? [] : [`link ${desired.linkName} is down ${where}`]),
    ...(observed.link.mac === desired.mac
      ? []
      : [`link ${desired.linkName} has MAC ${observed.link.mac}, not ${desired.mac} ${where}`]),
    ...compare(where, 'setting', desired.sysctls, observed.sysctls, SYSCTL, ({ key, value }) => `${key}=${value}`),
    ...compare(where, 'address', desired.addresses, observed.addresses, ADDRESS, ADDRESS.key),
    ...compare(where, 'route', desired.routes, observed.routes, ROUTE, describeRoute),
    ...compare(where, 'rule', desired.rules, observed.rules, RULE, RULE.key),
    ...compare(where, 'neighbour', desired.neighbours, observed.neighbours, NEIGHBOUR, describeNeighbour),
  ]
}

/** The same side with those objects only that are missing or different. Pure. */
export function missingObjects(desired: LinkSide, observed: Omit<ObservedSide, 'link'>): LinkSide {
  return {
    ...desired,
    sysctls: toPut(desired.sysctls, observed.sysctls, SYSCTL),
    addresses: toPut(desired.addresses, observed.addresses, ADDRESS),
    routes: toPut(desired.routes, observed.routes, ROUTE),
    rules: toPut(desired.rules, observed.rules, RULE),
    neighbours: toPut(desired.neighbours, observed.neighbours, NEIGHBOUR),
  }
}

function toPut<T>(desired: readonly T[], actual: readonly T[], comparison: Comparison<T>): T[] {
  const { missing, changed } = diff(desired, actual, comparison)
  return [...missing, ...changed.map((pair) => pair.desired)]
}

const SYSCTL: Comparison<Sysctl> = { key: ({ key }) => key, equal: (a, b) => a.value === b.value }

const ADDRESS: Comparison<Address> = {
  key: ({ address, prefixLength }) => `${address}/${prefixLength}`,
  equal: () => true,
}

const ROUTE: Comparison<Route> = {
  key: ({ table, destination, metric }) => `${table} ${destination} ${normalMetric(destination, metric)}`,
  equal: (a, b) => a.gateway === b.gateway,
}

const RULE: Comparison<Rule> = { key: ({ from, table }) => `from ${from} lookup ${table}`, equal: () => true }

const NEIGHBOUR: Comparison<Neighbour> = { key: ({ address }) => address, equal: (a, b) => a.mac === b.mac }

/** Metric 0 asks the kernel for its default, which for IPv6 is 1024 (include/net/ip6_route.h). */
function normalMetric(destination: string, metric: number): number {
  return metric === 0 && destination.includes(':') ? 1024 : metric
}

function describeRoute({ destination, gateway }: Route): string {
  return gateway ? `${destination} via ${gateway}` : destination
}

function describeNeighbour({ address, mac }: Neighbour): string {
  return `${address} at ${mac}`
}

function compare<T>(
  where: string,
  kind: string,
  desired: readonly T[],
  actual: readonly T[],
  comparison: Comparison<T>,
  describe: (object: T) => string,
): string[] {
  const { missing, changed } = diff(desired, actual, comparison)
  return [
    ...missing.map((object) => `${kind} ${describe(object)} is missing ${where}`),
    ...changed.map((pair) => `${kind} ${describe(pair.desired)} is ${describe(pair.actual)} ${where}`),
  ]
}
