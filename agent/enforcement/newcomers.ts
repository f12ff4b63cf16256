import { NO_WORKLOADS } from '../cluster/workloads.ts'
import type { LocalPod } from '../policy/input.ts'
import { desiredPolicy, type PolicySettings } from '../ruleset/desired.ts'
import { LOCAL_MAPS, LOCAL_SETS } from '../ruleset/local-elements.ts'
import { elementText } from '../ruleset/render.ts'
import type { PolicyTable } from '../ruleset/table.ts'
import type { KernelTable } from './kernel-table.ts'

type LocalPods = ReadonlyMap<string, LocalPod>

/**
 * What is done while the cluster has told nothing: the rules of an earlier agent stay in force as they are; pods that have
 * come since are closed, or open, as it was asked for; and what has gone leaves nothing to the next owner of its address.
 */
export class Newcomers {
  readonly #settings: PolicySettings
  readonly #table: KernelTable
  /** undefined: nobody has looked yet. */
  #wasThere: boolean | undefined
  readonly #links = new Set<string>()

  constructor(settings: PolicySettings, table: KernelTable) {
    this.#settings = settings
    this.#table = table
  }

  /** Whether nothing but this knows of the pod behind the link; its rules say no more than that it is unknown. */
  has(link: string): boolean {
    return this.#links.has(link)
  }

  /**
   * @param isDoubted somebody else may have changed the table
   * @returns whether it had been there, and was gone: nobody can tell what was in it, and what is unknown is closed
   * @throws NftablesError
   */
  async close(before: LocalPods, after: LocalPods, isDoubted: boolean): Promise<{ wasGone: boolean }> {
    const [come, gone] = [without(after, before), without(before, after)]
    const isFirst = this.#wasThere === undefined
    if (come.size + gone.size === 0 && !isDoubted && !isFirst) return { wasGone: false }
    const chains = await this.#table.chainNames()
    const wasGone = this.#wasThere === true && chains === undefined
    this.#wasThere ||= chains !== undefined
    for (const link of gone.keys()) this.#links.delete(link)
    if (chains) {
      await this.#change(chains, come, gone)
      for (const link of come.keys()) this.#links.add(link)
    } else if (come.size > 0 || wasGone) {
      await this.#table.replace(this.#tableOf(after))
      this.#wasThere = true
      for (const link of after.keys()) this.#links.add(link)
    }
    return { wasGone }
  }

  /** Whatever the kernel has for these, it has been made for others, or long ago: it is looked at. */
  async #change(chains: ReadonlySet<string>, come: LocalPods, gone: LocalPods): Promise<void> {
    if (come.size + gone.size === 0) return
    const wanted = this.#tableOf(come)
    // One by one: of two in one table that have one address, the other has no elements.
    const concerned = [gone, come].map((pods) => this.#tableOf(asUnknown(pods), { failsOpen: false }))
    const addedElements = new Map<string, readonly string[]>()
    const removedElements = new Map<string, readonly string[]>()
    for (const [kind, names] of [
      ['set', Object.keys(LOCAL_SETS)],
      ['map', Object.keys(LOCAL_MAPS)],
    ] as const)
      for (const name of names) {
        const present = new Map(await this.#table.elements(kind, name))
        const own = elementsOf(wanted, name)
        const theirs = new Set(concerned.flatMap((table) => [...elementsOf(table, name).keys()]))
        const removed = [...theirs].filter((one) => present.has(one) && present.get(one) !== own.get(one))
        const added = [...own].filter(([element, chain]) => present.get(element) !== chain)
        if (removed.length > 0) removedElements.set(name, removed)
        if (added.length > 0) addedElements.set(name, added.map(elementText))
      }
    const addedChains = [...wanted.chains.values()].filter(({ name }) => !chains.has(name))
    await this.#table.change({
      // An agent of another version may have left no such sets; what is there already may be added.
      addedSets: addedChains.length > 0 ? [...wanted.sets.values()].filter(({ isDynamic }) => isDynamic) : [],
      removedSets: [],
      addedChains,
      removedChains: [],
      addedCounters: [...wanted.counters.values()].filter(({ name }) => addedChains.some((one) => one.name === name)),
      removedCounters: [],
      addedElements,
      removedElements,
    })
  }

  #tableOf(localPods: LocalPods, changed: Partial<PolicySettings> = {}): PolicyTable {
    return desiredPolicy({ ...this.#settings, ...changed, workloads: NO_WORKLOADS, nodes: new Map(), localPods })
  }
}

/** Those that others have not, or have with other addresses. */
function without(pods: LocalPods, others: LocalPods): LocalPods {
  return new Map([...pods].filter(([link, { addresses }]) => others.get(link)?.addresses !== addresses))
}

/** So that each has all the elements that a pod may have. */
function asUnknown(pods: LocalPods): LocalPods {
  return new Map(Array.from(pods, ([link, pod]) => [link, { ...pod, isUnknown: true }]))
}

function elementsOf({ sets, maps }: PolicyTable, name: string): ReadonlyMap<string, string> {
  const elements = sets.get(name)?.elements
  return elements ? new Map(Array.from(elements, (element) => [element, ''])) : (maps.get(name)?.elements ?? new Map())
}
