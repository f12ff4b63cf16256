import { TracerError } from './tracer-values.ts'

/** What stands by itself wherever it is; anything else goes up to the next space: addresses have dots and colons inside. */
const TOKEN = /"[^"\n]*"|\n|[{};,]|!=|==|=|[^\s{};,="!]+|[^ \t\r]/g

/** The words of an nft text, one after the other. A rule ends where its line does, or at a semicolon. */
export class TokenReader {
  readonly #tokens: readonly string[]
  #at = 0

  constructor(text: string) {
    this.#tokens = text.match(TOKEN) ?? []
  }

  /** Of a line, a block, or the text. */
  get isAtEnd(): boolean {
    const token = this.peek()
    return token === undefined || token === '\n' || token === ';' || token === '}'
  }

  get isDone(): boolean {
    return this.#at >= this.#tokens.length
  }

  get isQuoted(): boolean {
    return this.peek()?.startsWith('"') ?? false
  }

  peek(ahead = 0): string | undefined {
    return this.#tokens[this.#at + ahead]
  }

  /** Takes the word if it stands here; with a second one, only if that follows. */
  take(word: string, follower?: string): boolean {
    if (this.peek() !== word || (follower !== undefined && this.peek(1) !== follower)) return false
    this.#at++
    return true
  }

  /** @throws TracerError */
  expect(word: string): void {
    if (!this.take(word)) throw this.#wrong(`"${word}"`)
  }

  /** @throws TracerError */
  word(): string {
    const token = this.peek()
    if (token === undefined || !/^[^\s{};,="!]+$/.test(token)) throw this.#wrong('a word')
    this.#at++
    return token
  }

  /** @throws TracerError */
  quoted(): string {
    if (!this.isQuoted) throw this.#wrong('a text in quotes')
    return (this.#tokens[this.#at++] ?? '').slice(1, -1)
  }

  /** @returns whether there was one */
  skipLines(): boolean {
    const before = this.#at
    while (this.take('\n') || this.take(';'));
    return this.#at > before
  }

  #wrong(expected: string): TracerError {
    const before = this.#tokens.slice(Math.max(0, this.#at - 8), this.#at).join(' ')
    return new TracerError(`${expected} is expected behind "${before}", not "${this.peek() ?? 'the end'}"`)
  }
}
