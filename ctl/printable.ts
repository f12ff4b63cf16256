/**
 * What the agent tells has names in it that anybody in the cluster may have chosen: nothing of it may move the cursor, turn
 * the direction of the text or begin a line. Pure.
 */

/** Controls, what is not seen (directions, joiners), lone surrogates, separators of lines. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

/** On one line. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escaped)
}

/** On the lines that it has. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}

/** The same answer, of which every text is one line. */
export function printableAnswer<T>(answer: T): T {
  if (typeof answer === 'string') return printable(answer) as T
  if (Array.isArray(answer)) return answer.map(printableAnswer) as T
  if (typeof answer !== 'object' || answer === null) return answer
  const entries = Object.entries(answer).map(([key, value]) => [printable(key), printableAnswer(value)])
  return Object.fromEntries(entries) as T
}

/** JSON that says the same as the answer. */
export function printableJson(answer: unknown): string {
  return JSON.stringify(answer, null, 2).replace(UNPRINTABLE, (text) => (text === '\n' ? text : escaped(text)))
}

/** As JSON escapes it, in each of its UTF-16 units. */
function escaped(text: string): string {
  return text
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('')
}
