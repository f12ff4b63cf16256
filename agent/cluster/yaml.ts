import yaml from 'yaml'

/**
 * Ten thousand Nodes. A megabyte of YAML takes a second, of open brackets a minute, and all else waits meanwhile: what
 * begins like JSON may have a quarter, for it is half of a file as a rule.
 */
const YAML_CHARACTERS_MAX = 4 * 1024 * 1024
const BRACED_CHARACTERS_MAX = YAML_CHARACTERS_MAX / 4

/** One of the documents of a file. */
export interface ParsedDocument {
  /** Where it begins; the first is 1. */
  readonly line: number
  /** As plain values; undefined where there is a problem. */
  readonly value: unknown
  /** Why it cannot be read, in one line that says where. */
  readonly problem?: string
}

/** YAML or JSON. A document that cannot be read takes nothing from those beside it. */
export function parseAll(text: string): ParsedDocument[] {
  const json = parseJson(text)
  if (json !== undefined) return [{ line: 1, value: json }]
  const charactersMax = isBraced(text) ? BRACED_CHARACTERS_MAX : YAML_CHARACTERS_MAX
  if (text.length > charactersMax) {
    const problem = `it is no JSON, and longer than the ${charactersMax} characters that YAML may have; write it as JSON, or in several files`
    return [{ line: 1, value: undefined, problem }]
  }
  const lineCounter = new yaml.LineCounter()
  return yaml.parseAllDocuments(text, { lineCounter }).map((document) => {
    const { line } = lineCounter.linePos(document.contents?.range?.[0] ?? document.range[0])
    const problem = (error: Error) => ({ line, value: undefined, problem: firstLine(error) })
    const [error] = document.errors
    if (error) return problem(error)
    try {
      return { line, value: document.toJS() }
    } catch (cause) {
      // More aliases than any person writes.
      return problem(cause as Error)
    }
  })
}

/** The first document; undefined where there is none. @throws Error with a message of one line */
export function parseOne(text: string): unknown {
  const [first] = parseAll(text)
  if (first?.problem !== undefined) throw new Error(first.problem)
  return first?.value
}

function firstLine({ message }: Error): string {
  return (message.split('\n')[0] ?? '').replace(/:$/, '')
}

/** JSON is YAML, too, but ten thousand pods are read in a hundredth of the time. Where it is none, YAML has the better words. */
function parseJson(text: string): unknown {
  if (!isBraced(text)) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isBraced(text: string): boolean {
  return /^\s*[{[]/.test(text)
}
