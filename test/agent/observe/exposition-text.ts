/** Reads the text format as prometheus.io/docs/instrumenting/exposition_formats has it, strictly: for tests. */
export interface ReadSample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** @throws Error that has the line */
export function readExposition(text: string): ReadSample[] {
  if (!text.endsWith('\n')) throw new Error('the last line has no end')
  return text
    .slice(0, -1)
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .map(readSample)
}

function readSample(line: string): ReadSample {
  const [, name, , pairs = '', value] = /^([a-zA-Z_:][\w:]*)(\{(.*)\})? (\S+)$/s.exec(line) ?? []
  if (name === undefined || value === undefined) throw new Error(`no sample: ${line}`)
  return { name, labels: readLabels(pairs), value: numberOf(value) }
}

function readLabels(pairs: string): Record<string, string> {
  const labels: Record<string, string> = {}
  let rest = pairs
  while (rest !== '') {
    const [whole, name, text] = /^([a-zA-Z_]\w*)="((?:[^"\\]|\\["\\n])*)"(?:,|$)/.exec(rest) ?? []
    if (whole === undefined || name === undefined || text === undefined) throw new Error(`no label: ${rest}`)
    if (name in labels) throw new Error(`the label ${name} twice`)
    labels[name] = text.replace(/\\(.)/gs, (_, one) => (one === 'n' ? '\n' : one))
    rest = rest.slice(whole.length)
  }
  return labels
}

function numberOf(text: string): number {
  if (text === '+Inf') return Number.POSITIVE_INFINITY
  if (text === '-Inf') return Number.NEGATIVE_INFINITY
  const number = Number(text)
  if (Number.isNaN(number) && text !== 'NaN') throw new Error(`no number: ${text}`)
  return number
}
