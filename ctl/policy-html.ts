import type { Matrix, MatrixCell, MatrixEnd } from '../agent/api/policy-answers.ts'
import { headOf, leftOutLines } from './policy-matrix.ts'

/** Who reaches whom, as one page that needs nothing else: no script, no font, no picture from elsewhere. Pure. */

const SIGNS = { all: '✓', some: '◐', none: '✗' } as const satisfies Record<MatrixCell['reach'], string>

/** Colours of Okabe and Ito, which those who see few colours tell apart; and each has a sign of its own. */
const STYLE = `
:root { color-scheme: light dark; --all: #cdeee1; --some: #fbe6b0; --none: #f6d0c0; --line: #8888; }
@media (prefers-color-scheme: dark) { :root { --all: #00543c; --some: #6b4e00; --none: #6e2a00; } }
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem; }
h1 { font-size: 1.2rem; }
table { border-collapse: collapse; }
th, td { border: 1px solid var(--line); padding: .3rem .5rem; text-align: center; }
th { font-weight: 500; }
tbody th { text-align: right; white-space: nowrap; position: sticky; left: 0; background: Canvas; }
thead th { vertical-align: bottom; position: sticky; top: 0; background: Canvas; }
thead span { writing-mode: vertical-rl; transform: rotate(180deg); white-space: nowrap; }
td { cursor: help; }
td small { display: block; max-width: 12rem; }
.all { background: var(--all); } .some { background: var(--some); } .none { background: var(--none); }
.other { font-style: italic; }
`.trim()

export function renderMatrixPage(matrix: Matrix): string {
  const { ends, cells } = matrix
  const byEnds = new Map(cells.map((cell) => [`${cell.from} ${cell.to}`, cell]))
  const head = ends.map((end) => `<th scope="col"${attributesOf(end)}><span>${escaped(end.name)}</span></th>`)
  const rows = ends.map((end, from) => {
    const data = ends.map((_, to) => cellOf(byEnds.get(`${from} ${to}`)))
    return `<tr><th scope="row"${attributesOf(end)}>${escaped(end.name)}</th>${data.join('')}</tr>`
  })
  const title = escaped(headOf(matrix))
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>
<style>
${STYLE}
</style>
</head>
<body>
<h1>${title}</h1>
<p><span class="all">${SIGNS.all} all</span> <span class="some">${SIGNS.some} some</span> <span class="none">${SIGNS.none} nothing</span>; hold the pointer over a field to see which policy decides.</p>
<table>
<thead><tr><td></td>${head.join('')}</tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table>
${leftOutLines(matrix)
  .map((line) => `<p>${escaped(line)}</p>\n`)
  .join('')}</body>
</html>`
}

function attributesOf({ kind, members, count }: MatrixEnd): string {
  const more = count > members.length ? [`and ${count - members.length} more`] : []
  return `${kind === 'own' ? '' : ' class="other"'} title="${escaped([...members, ...more].join('\n'))}"`
}

function cellOf(cell: MatrixCell | undefined): string {
  if (!cell) return '<td></td>'
  const { reach, ports, why } = cell
  const detail = reach === 'some' ? `<small>${escaped(ports)}</small>` : ''
  return `<td class="${reach}" title="${escaped(why.join('\n'))}">${SIGNS[reach]}${detail}</td>`
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
