import type { FieldProblem } from './policy.ts'

/** So many problems of one object are told one by one: whoever writes policies must not fill logs and status with them. */
const SHOWN_MAX = 10
/** Of a value, or of a key, in a message. */
const QUOTE_MAX_LENGTH = 60

/** What is wrong with one object, in the order in which it was found; all is counted, the first few are kept. */
export class Problems {
  readonly #shown: FieldProblem[] = []
  #count = 0

  get count(): number {
    return this.#count
  }

  get list(): readonly FieldProblem[] {
    const more = this.#count - this.#shown.length
    if (more === 0) return this.#shown
    return [
      ...this.#shown,
      { field: 'spec', reason: `${more} more problems like these; correct the first ones to see them` },
    ]
  }

  add(problem: FieldProblem): void {
    this.#count++
    if (this.#shown.length < SHOWN_MAX) this.#shown.push(problem)
  }
}

/**
 * A value of a Kubernetes object and the path where it stands. It may be anything: what a field lacks is told, and read as
 * undefined. As in Kubernetes, null is the same as absent.
 */
export class Field {
  readonly value: unknown
  /** `spec.ingress[0].from[1]` */
  readonly path: string
  readonly #problems: Problems
  /** What becomes of what cannot be read here. */
  readonly #otherwise: string

  constructor(value: unknown, path: string, problems: Problems, otherwise: string) {
    this.value = value ?? undefined
    this.path = path
    this.#problems = problems
    this.#otherwise = otherwise
  }

  get isAbsent(): boolean {
    return this.value === undefined
  }

  /** The same field, where something else becomes of what cannot be read. */
  otherwise(text: string): Field {
    return new Field(this.value, this.path, this.#problems, text)
  }

  /** Of a mapping; absent where there is none. Own keys only: `__proto__` and `constructor` are names like any other. */
  at(key: string): Field {
    const value = isMapping(this.value) && Object.hasOwn(this.value, key) ? this.value[key] : undefined
    return new Field(value, joined(this.path, key), this.#problems, this.#otherwise)
  }

  /** @returns undefined, having told it, where this is no list; an absent one is empty */
  items(): Field[] | undefined {
    if (this.isAbsent) return []
    if (!Array.isArray(this.value)) return this.wrong(`${quote(this.value)} is no list`, 'write a list')
    return this.value.map((item, i) => new Field(item, `${this.path}[${i}]`, this.#problems, this.#otherwise))
  }

  /** Tells each key that is not among these. @returns whether this is a mapping with none but them */
  hasOnly(keys: readonly string[]): boolean {
    if (!isMapping(this.value)) {
      this.wrong(`${quote(this.value)} is no mapping`, `write a mapping with ${listed(keys)}`)
      return false
    }
    const unknown = Object.keys(this.value).filter((key) => !keys.includes(key))
    for (const key of unknown) this.at(key).wrong('no such field is known', `known are ${listed(keys)}`)
    return unknown.length === 0
  }

  /** Tells what is wrong, what becomes of it, and what to do. @returns undefined, as what was to be read here */
  wrong(what: string, remedy: string): undefined {
    this.#problems.add({ field: this.path, reason: `${what}: ${this.#otherwise}; ${remedy}` })
  }
}

export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A value for messages, bounded, and never the inside of a structure. */
export function quote(value: unknown): string {
  if (value === undefined || value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a mapping'
  if (typeof value !== 'string') return String(value)
  return value.length <= QUOTE_MAX_LENGTH
    ? JSON.stringify(value)
    : `${JSON.stringify(value.slice(0, QUOTE_MAX_LENGTH - 3))}...`
}

/** `a, b or c` */
export function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}

function joined(path: string, key: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,59}$/.test(key)) return `${path}[${quote(key)}]`
  return path === '' ? key : `${path}.${key}`
}
