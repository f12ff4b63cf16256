import type { Matrix, MatrixCell } from '../agent/api/policy-answers.ts'
import { renderTable } from './table.ts'

/** Who reaches whom, as a table of marks. Pure. */

/** Of those that no policy tells apart. */
const NAMES_SHOWN = 8

export const MARKS = { all: '+', some: 'o', none: '.' } as const satisfies Record<MatrixCell['reach'], string>

export function renderMatrix(matrix: Matrix): string {
  const { ends, cells } = matrix
  const width = String(ends.length).length
  const number = (index: number) => String(index + 1).padStart(width)
  const marks = new Map(cells.map(({ from, to, reach }) => [`${from} ${to}`, MARKS[reach]]))
  const rows = ends.map(({ name }, from) => [
    number(from),
    name,
    ...ends.map((_, to) => (marks.get(`${from} ${to}`) ?? '').padStart(width)),
  ])
  const some = cells.filter(({ reach }) => reach === 'some')
  return [
    `${headOf(matrix)}\n${MARKS.all} all, ${MARKS.some} some, ${MARKS.none} nothing`,
    renderTable(['', 'FROM', ...ends.map((_, index) => number(index))], rows),
    ...(some.length > 0
      ? [
          renderTable(
            [MARKS.some, ''],
            some.map(({ from, to, ports }) => [`${from + 1} to ${to + 1}`, ports]),
          ),
        ]
      : []),
    ...alikeBlock(matrix, number),
    ...leftOutLines(matrix),
  ].join('\n\n')
}

/** Who stands behind `(+3)`. */
function alikeBlock({ ends }: Matrix, number: (index: number) => string): string[] {
  const rows = ends.flatMap(({ members, count }, index) => {
    if (count < 2) return []
    const names = members.slice(0, NAMES_SHOWN)
    return [[number(index), names.join(', ') + (count > names.length ? ` and ${count - names.length} more` : '')]]
  })
  return rows.length === 0 ? [] : [renderTable(['', 'ALIKE'], rows)]
}

export function headOf({ namespace, port }: Pick<Matrix, 'namespace' | 'port'>): string {
  return `namespace ${namespace}: who reaches whom on ${port ?? 'any port'}, from the line to the column`
}

export function leftOutLines({ leftOut }: Matrix): string[] {
  return leftOut === 0 ? [] : [`${leftOut} more, of pods or of others that are alike, have no place here`]
}
