import type { Family, Sample } from './family.ts'

/** What Prometheus reads, version 0.0.4 of its text format: prometheus.io/docs/instrumenting/exposition_formats. Pure. */

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

export function renderExposition(families: readonly Family[]): string {
  return families.flatMap(renderFamily).join('')
}

function renderFamily({ name, type, help, samples }: Family): string[] {
  if (samples.length === 0) return []
  return [
    `# HELP ${name} ${escaped(help, /[\\\n]/g)}\n`,
    `# TYPE ${name} ${type}\n`,
    ...samples.map((sample) => renderSample(name, sample)),
  ]
}

function renderSample(name: string, { suffix, labels, value }: Sample): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text.toWellFormed(), /[\\\n"]/g)}"`)
  return `${name}${suffix}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${numberText(value)}\n`
}

function escaped(text: string, what: RegExp): string {
  return text.replace(what, (one) => (one === '\n' ? '\\n' : `\\${one}`))
}

/** As Go reads it. */
function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf'
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value)
}
