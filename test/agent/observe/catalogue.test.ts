import { readFileSync } from 'node:fs'
import t from 'tap'
import { METRICS } from '../../../agent/observe/catalogue.ts'

const BASE_UNITS = ['seconds', 'bytes', 'addresses']

t.test('names are as Prometheus asks: a prefix, base units, _total behind what only grows', async (t) => {
  for (const [name, { type, help }] of Object.entries(METRICS)) {
    t.match(name, /^(bramble|process)_[a-z_]+$/)
    t.equal(name.endsWith('_total'), type === 'counter', name)
    t.notMatch(name, /_(ms|millis|milliseconds|kb|mib|percent|minutes)(_|$)/)
    if (type === 'histogram') t.ok(BASE_UNITS.some((unit) => name.endsWith(`_${unit}`)))
    t.match(help, /^[A-Z].*\.$/)
  }
})

t.test('docs/metrics.md has a row for each metric, with its labels and its help, and for nothing else', async (t) => {
  const text = readFileSync(new URL('../../../docs/metrics.md', import.meta.url), 'utf8')
  const rows = Array.from(text.matchAll(/^\| `((?:bramble|process)_\w+)`/gm), ([, name]) => name)
  t.same(rows, Object.keys(METRICS))
  for (const [name, { type, labels, help }] of Object.entries(METRICS)) {
    const shown = labels.map((label) => `\`${label}\``).join(', ')
    t.match(text, `| \`${name}\` | ${type} | ${shown} | ${help} |`)
  }
})
