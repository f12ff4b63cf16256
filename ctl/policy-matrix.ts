import type { Matrix, MatrixCell } from '../agent/api/policy-answers.ts'
import { alikeBlock } from './policy-alike.ts'
import { renderTable } from './table.ts'

/** Who reaches whom, as a table of marks. Pure. */

const MARKS = { all: '+', some: 'o', none: '.' } as const satisfies Record<MatrixCell['reach'], string>

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
    ...alikeBlock(ends.map(({ count, members }, index) => ({ label: number(index), count, members }))),
    ...leftOutLines(matrix),
  ].join('\n\n')
}

export function headOf({ namespace, port }: Pick<Matrix, 'namespace' | 'port'>): string {
  return `namespace ${namespace}: who reaches whom on ${port ?? 'any port'}, from the line to the column`
}

export function leftOutLines({ leftOut }: Matrix): string[] {
  return leftOut === 0 ? [] : [`${leftOut} more, of pods or of others that are alike, have no place here`]
}
