import { renderTable } from '../table.ts'

/** What INDEX.txt says of one file of the archive. */
export interface IndexLine {
  readonly path: string
  /** Absent: it is not in the archive. */
  readonly bytes?: number
  readonly from: string
  readonly remark?: string
}

export interface Heading {
  readonly nodeName: string
  readonly version: string
  readonly time: string
  readonly isRoot: boolean
}

/** Pure. */
export function renderIndex({ nodeName, version, time, isRoot }: Heading, lines: readonly IndexLine[]): string {
  const rows = lines.map(({ path, bytes = '-', from, remark = '' }) => [path, bytes, from, remark])
  return `${[
    `sysdump of node ${nodeName}, ${time}, by bramblectl ${version}${isRoot ? '' : ', which was not root: much is missing'}`,
    'Passwords, tokens and private keys are left out wherever their value, their form or their name gave them away.',
    'Names and addresses of nodes, pods and networks are in it. Look at it before you give it to somebody.',
    '',
    renderTable(['FILE', 'BYTES', 'FROM', 'REMARK'], rows),
  ].join('\n')}\n`
}
