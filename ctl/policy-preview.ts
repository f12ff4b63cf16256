import type { Difference, Preview } from '../agent/api/policy-answers.ts'
import { alikeBlock } from './policy-alike.ts'
import { renderTable } from './table.ts'

/** What a change of policies would change, as people read it. Pure. */

const NAMES_SHOWN = 4

export function renderPreview(preview: Preview): string {
  const { changes, others, problems, differences, moreDifferences, alike, pairs, flows } = preview
  const rows = differences.flatMap(rowsOf)
  return [
    [
      ...changes.map(({ policy, what }) => `${policy}: ${what}`),
      ...(others.length > 0 ? [`passed over, as these are no policies: ${few(others)}`] : []),
    ].join('\n'),
    ...(problems.length > 0
      ? [['problems:', ...problems.map(({ object, reason }) => `  ${object}: ${reason}`)].join('\n')]
      : []),
    rows.length === 0
      ? 'nothing changes between any two'
      : renderTable(['', 'FROM', 'TO', 'PORTS'], rows) +
        (moreDifferences > 0 ? `\nand ${moreDifferences} more differences like these` : ''),
    ...alikeBlock(alike.map(({ name, ...rest }) => ({ label: name, ...rest }))),
    ...(pairs.compared < pairs.all
      ? [`only ${pairs.compared} of ${pairs.all} pairs were compared in time: preview fewer policies at once`]
      : []),
    ...(flows ? [renderFlows(flows)] : []),
  ]
    .filter((block) => block !== '')
    .join('\n\n')
}

export function isPreviewGood({ problems }: Preview): boolean {
  return problems.length === 0
}

function rowsOf({ from, to, family, opened, closed }: Difference): string[][] {
  const suffix = family === undefined ? '' : ` (IPv${family} only)`
  const row = (word: string, ports: string | undefined) =>
    ports === undefined ? [] : [[word, few(from), few(to), ports + suffix]]
  return [...row('opens', opened), ...row('closes', closed)]
}

function renderFlows({ cut, more, looked }: NonNullable<Preview['flows']>): string {
  const head = `${cut.length + more} of ${looked} connections of pods of this node would be cut`
  if (cut.length === 0) return head
  const rows = cut.map(({ from, to, port, source, destination, why }) => [
    from,
    to,
    port,
    `${source} to ${destination}`,
    why,
  ])
  return `${head}:\n${renderTable(['FROM', 'TO', 'PORT', 'ADDRESSES', 'WHY'], rows)}${more > 0 ? `\nand ${more} more` : ''}`
}

function few(names: readonly string[]): string {
  const more = names.length - NAMES_SHOWN
  return more <= 1 ? names.join(', ') : `${names.slice(0, NAMES_SHOWN).join(', ')} and ${more} others`
}
