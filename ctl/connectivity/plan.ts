import { familyOf } from '../../ipam/address.ts'
import { type Probe, SERVER_PORT } from './probe.ts'

/** A pod with a server in it. */
export interface ServerPod {
  readonly name: string
  readonly node: string
  readonly addresses: readonly string[]
}

/** From where it is tried: a pod, or the network of a node itself. */
export interface Place {
  readonly name: string
  readonly node: string
  readonly isNode: boolean
  /** What packets of full size have, where it is known beforehand. */
  readonly mtuBytes?: number
}

export interface Target {
  readonly address: string
  readonly port: number
}

/** What there is to be tried. */
export interface Site {
  readonly servers: readonly ServerPod[]
  readonly places: readonly Place[]
  readonly nodes: readonly { readonly name: string; readonly addresses: readonly string[] }[]
  /** In front of all servers. */
  readonly service?: { readonly name: string; readonly addresses: readonly string[] }
  /** Whether there is somebody who knows names. */
  readonly hasNames: boolean
  readonly outside: readonly Target[]
}

/** A probe, where it is made, and what it is called in the table. */
export interface Planned {
  readonly place: Place
  readonly probe: Probe
  readonly check: Check
  /** `pod on pi-2` */
  readonly to: string
  /** That it is about, besides the place's own. */
  readonly toNode?: string
}

/** The lines of the table, in their order. */
export const CHECKS = [
  'plugin: ADD, CHECK, DEL',
  'pods of the test start',
  'pod to pod on its node: TCP',
  'pod to pod on its node: UDP',
  'pod to pod on its node: full size',
  'pod to pod on another node: TCP',
  'pod to pod on another node: UDP',
  'pod to pod on another node: full size',
  'pod to Service',
  'pod to its node',
  'pod to another node',
  'node to pod on it',
  'node to pod on another node',
  'node to another node: full size',
  'pod to outside',
  'node to outside',
  'pod asks DNS',
  'policy lets through',
  'policy blocks',
  'nothing is left behind',
] as const
export type Check = (typeof CHECKS)[number]

const PATIENCE_MS = 10_000
/** A policy takes its way from the API server to the agents, and may find them busy. */
const POLICY_PATIENCE_MS = 20_000

type Step = Omit<Planned, 'probe'> & { readonly probe: Omit<Probe, 'id'> }

/** All that is open without a policy. Pure. */
export function plan(site: Site): Planned[] {
  return numbered(site.places.flatMap((place) => (place.isNode ? fromNode(place, site) : fromPod(place, site))))
}

/** With the policy: who is let in, and who is not. Pure. */
export function policyPlan(
  servers: readonly ServerPod[],
  friends: readonly Place[],
  strangers: readonly Place[],
): Planned[] {
  const steps = (places: readonly Place[], expects: Probe['expects'], check: Check) =>
    places.flatMap((place) =>
      toServers(servers, (server, address) => ({
        place,
        check,
        to: `pod on ${server.node}`,
        toNode: server.node,
        probe: tcp(address, server, { expects, patienceMs: POLICY_PATIENCE_MS }),
      })),
    )
  return numbered([
    ...steps(friends, 'reached', 'policy lets through'),
    ...steps(strangers, 'blocked', 'policy blocks'),
  ])
}

function fromPod(place: Place, { servers, nodes, service, hasNames, outside }: Site): Step[] {
  const families = familiesOf(servers)
  return [
    ...toServers(servers, (server, address) => {
      const on = server.node === place.node ? 'pod to pod on its node' : 'pod to pod on another node'
      const more = { place, to: `pod on ${server.node}`, toNode: server.node } as const
      const size = { ...base('size', address), ...(place.mtuBytes && { packetBytes: place.mtuBytes }) }
      return [
        { ...more, check: `${on}: TCP`, probe: { ...tcp(address, server), keepsSource: true } } as const,
        { ...more, check: `${on}: UDP`, probe: { ...tcp(address, server), kind: 'udp', keepsSource: true } } as const,
        { ...more, check: `${on}: full size`, probe: size } as const,
      ]
    }),
    ...(service?.addresses ?? []).map((address) => ({
      ...{ place, check: 'pod to Service' as const, to: `Service ${service?.name}` },
      probe: { ...base('tcp', address), port: SERVER_PORT, answerers: servers.map(({ name }) => name) },
    })),
    ...nodes.flatMap(({ name, addresses }) =>
      addresses
        .filter((address) => families.includes(familyOf(address)))
        .map((address) => ({
          ...{ place, to: `node ${name}`, toNode: name, probe: base('echo', address) },
          check: name === place.node ? ('pod to its node' as const) : ('pod to another node' as const),
        })),
    ),
    ...outside
      .filter(({ address }) => families.includes(familyOf(address)))
      .map(({ address, port }) => toOutside(place, 'pod to outside', address, port)),
    ...(service && hasNames
      ? [
          {
            ...{ place, check: 'pod asks DNS' as const, to: service.name },
            probe: { ...base('name', service.name), answerers: service.addresses },
          },
        ]
      : []),
  ]
}

/** What kubelet does, and what tells whether a fault is the pods' alone. */
function fromNode(place: Place, { servers, outside }: Site): Step[] {
  const families = familiesOf(servers)
  return [
    ...toServers(servers, (server, address) => ({
      place,
      check: server.node === place.node ? ('node to pod on it' as const) : ('node to pod on another node' as const),
      to: `pod on ${server.node}`,
      toNode: server.node,
      probe: tcp(address, server),
    })),
    ...outside
      .filter(({ address }) => families.includes(familyOf(address)))
      .map(({ address, port }) => toOutside(place, 'node to outside', address, port)),
  ]
}

function toOutside(place: Place, check: Check, address: string, port: number): Step {
  // Of an Internet that is not there nobody waits long.
  return { place, check, to: address, probe: { ...base('connect', address), port, patienceMs: 3_000 } }
}

function toServers<T>(servers: readonly ServerPod[], steps: (server: ServerPod, address: string) => T | T[]): T[] {
  return servers.flatMap((server) => server.addresses.flatMap((address) => steps(server, address)))
}

function familiesOf(servers: readonly ServerPod[]) {
  return [...new Set(servers.flatMap(({ addresses }) => addresses.map(familyOf)))]
}

function base(kind: Probe['kind'], target: string): Omit<Probe, 'id'> {
  return { kind, target, expects: 'reached', patienceMs: PATIENCE_MS }
}

function tcp(address: string, server: ServerPod, more: Partial<Probe> = {}): Omit<Probe, 'id'> {
  return { ...base('tcp', address), port: SERVER_PORT, answerers: [server.name], ...more }
}

function numbered(steps: readonly Step[]): Planned[] {
  return steps.map((step, id) => ({ ...step, probe: { id, ...step.probe } }))
}
