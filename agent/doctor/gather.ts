import { type Ask, agent } from './facts/agent.ts'
import { cni } from './facts/cni.ts'
import { dns } from './facts/dns.ts'
import { firewall } from './facts/firewall.ts'
import { kernel } from './facts/kernel.ts'
import { cgroups, clock, machine, power } from './facts/machine.ts'
import { keepers, network } from './facts/network.ts'
import { paths } from './facts/paths.ts'
import { settings } from './facts/settings.ts'
import { storage } from './facts/storage.ts'
import type { Facts, GatheredFacts, Known } from './facts.ts'
import type { Places } from './places.ts'

export interface Sources {
  readonly places: Places
  readonly ask: Ask
  /** The agent's. */
  readonly socket: string
  readonly version: string
}

/** A Pi that is busy is slow; nobody waits longer. */
const TIMEOUT_MS = 15_000
/** Packets to every node, and to those that do not answer a few more. */
const PATHS_TIMEOUT_MS = 25_000

/** Never throws: what cannot be found out is a fact, too. */
export async function gather({ places, ask, socket, version }: Sources): Promise<GatheredFacts> {
  const agentState = await known(() => agent(places, ask, socket))
  const state = 'value' in agentState ? agentState.value : undefined
  const own: { readonly [Name in keyof Facts]: () => Promise<Facts[Name]> | Facts[Name] } = {
    machine: () => machine(places, version),
    clock: () => clock(places),
    power: () => power(places),
    cgroups: () => cgroups(places),
    storage: () => storage(places, state?.answers?.pid),
    kernel: () => kernel(places, state),
    settings: () => settings(places),
    firewall: () => firewall(places),
    network: () => network(places),
    keepers: () => keepers(places),
    cni: () => cni(places),
    dns: () => dns(places),
    agent: () => state ?? Promise.reject(new Error('unknown' in agentState ? agentState.unknown : '')),
    paths: () => (state ? paths(ask, state) : Promise.reject(new Error('the agent could not be looked at'))),
  }
  const entries = Object.entries(own).map(async ([name, find]) => {
    const timeoutMs = name === 'paths' ? PATHS_TIMEOUT_MS : TIMEOUT_MS
    return [name, await known<unknown>(find, timeoutMs)]
  })
  return Object.fromEntries(await Promise.all(entries))
}

async function known<T>(find: () => Promise<T> | T, timeoutMs = TIMEOUT_MS): Promise<Known<T>> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it took more than ${timeoutMs / 1000} s to find out`)), timeoutMs)
  })
  try {
    return { value: await Promise.race([(async () => find())(), late]) }
  } catch (error) {
    return { unknown: (error as Error).message }
  } finally {
    clearTimeout(timer)
  }
}
