import fc from 'fast-check'
import t from 'tap'
import { AheadOfWatch } from '../../../../agent/cluster/kubernetes/ahead.ts'
import type { ApiObject } from '../../../../agent/cluster/kubernetes/answers.ts'
import { type Kind, keyOf, ObjectStore } from '../../../../agent/cluster/kubernetes/store.ts'

/** An object is its version. */
const KIND: Kind<number> = {
  essence: ({ metadata }) => String(metadata.resourceVersion),
  parse: ({ metadata }) => Number(metadata.resourceVersion),
}

const object = (name: string, version: number): ApiObject => ({ metadata: { name, resourceVersion: String(version) } })

/** A server with its history, a watch that is as late as it likes, lists that take their time, and answers on their way. */
class Simulation {
  readonly store = new ObjectStore(KIND, () => {})
  readonly asked = new AheadOfWatch(this.store)
  readonly #objects = new Map<string, ApiObject>()
  readonly #history: { readonly type: 'put' | 'remove'; readonly object: ApiObject }[] = []
  #version = 100
  /** Of the history: what the watch has told. */
  #told = 0
  #list: { readonly version: number; readonly items: ApiObject[] } | undefined
  readonly #answers: ApiObject[] = []

  change(name: string): void {
    const next = object(name, ++this.#version)
    this.#objects.set(name, next)
    this.#history.push({ type: 'put', object: next })
  }

  delete(name: string): void {
    if (!this.#objects.delete(name)) return
    this.#history.push({ type: 'remove', object: object(name, ++this.#version) })
  }

  /** The server answers now; when that arrives is another matter. */
  ask(name: string): void {
    const found = this.#objects.get(name)
    if (found) this.#answers.push(found)
  }

  answer(): void {
    const answer = this.#answers.shift()
    if (answer) this.asked.answered(answer)
  }

  watch(): void {
    const event = this.#list ? undefined : this.#history[this.#told]
    if (!event) return
    this.#told++
    if (event.type === 'put') this.asked.put(event.object)
    else this.asked.remove(event.object)
  }

  /** Begins one, which breaks off another. */
  list(): void {
    this.asked.begin()
    this.#list = { version: this.#version, items: [...this.#objects.values()] }
    this.#told = this.#history.length
  }

  /** One item more, or the end. */
  read(): void {
    if (!this.#list) return
    const item = this.#list.items.pop()
    if (item) {
      this.asked.put(item)
      return
    }
    this.asked.end(String(this.#list.version))
    this.#list = undefined
  }

  settle(): void {
    while (this.#answers.length > 0) this.answer()
    while (this.#list) this.read()
    while (this.#told < this.#history.length) this.watch()
  }

  get known(): [string, number][] {
    return [...this.store.values()].sort()
  }

  get real(): [string, number][] {
    return Array.from(this.#objects.values(), (one) => [keyOf(one), KIND.parse(one)] as [string, number]).sort()
  }
}

const name = fc.constantFrom('a', 'b', 'c')
const step = fc.oneof(
  name.map((one) => ({ act: 'change', one }) as const),
  name.map((one) => ({ act: 'delete', one }) as const),
  { weight: 2, arbitrary: name.map((one) => ({ act: 'ask', one }) as const) },
  { weight: 2, arbitrary: fc.constant({ act: 'answer', one: '' } as const) },
  { weight: 2, arbitrary: fc.constant({ act: 'watch', one: '' } as const) },
  { weight: 2, arbitrary: fc.constant({ act: 'read', one: '' } as const) },
  { weight: 1, arbitrary: fc.constant({ act: 'list', one: '' } as const) },
)

t.test(
  'however lists, events and answers overtake each other, nothing goes back, and all is right in the end',
  async (t) => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 80, size: 'max' }), (steps) => {
        const simulation = new Simulation()
        simulation.list()
        const newest = new Map<string, number>()
        for (const { act, one } of steps) {
          simulation[act](one)
          for (const [name, version] of simulation.known) {
            if (version < (newest.get(name) ?? 0)) return false
            newest.set(name, version)
          }
        }
        simulation.settle()
        return JSON.stringify(simulation.known) === JSON.stringify(simulation.real)
      }),
      { numRuns: 3_000 },
    )
    t.pass('as a property')
  },
)

t.test('an answer about what has ended meanwhile, as the watch has told, brings nothing back', async (t) => {
  const simulation = new Simulation()
  simulation.list()
  simulation.read()
  simulation.change('a')
  simulation.ask('a')
  simulation.delete('a')
  simulation.watch()
  simulation.watch()
  simulation.answer()
  t.same(simulation.known, [])
})

t.test('an answer that is ahead is not undone by what the watch has yet to tell', async (t) => {
  const simulation = new Simulation()
  simulation.list()
  simulation.read()
  simulation.change('a')
  simulation.delete('a')
  simulation.change('a')
  simulation.ask('a')
  simulation.answer()
  const [answered] = simulation.known
  for (let event = 0; event < 3; event++) {
    simulation.watch()
    t.same(simulation.known, [answered])
  }
  simulation.delete('a')
  simulation.watch()
  t.same(simulation.known, [])
})
