/** What a clean-up did, and how it is told. Pure. */
export interface CleanupReport {
  readonly isDryRun: boolean
  /** Ours, in the order of their removal. */
  readonly objects: readonly CleanedObject[]
  /** Of these kinds it cannot be told whether any are there. */
  readonly unknown: readonly { readonly kind: string; readonly error: string }[]
  /** How many containers lost, or would lose, their network. */
  readonly pods: number
  /** Settings of the node that an agent makes, and that stay: `net/ipv4/ip_forward=1`. */
  readonly settingsLeft: readonly string[]
}

export interface CleanedObject {
  readonly object: string
  /** Why it is still there. */
  readonly error?: string
}

/** What went wrong, one line each; nothing did where there is none. */
export function complaints({ objects, unknown }: CleanupReport): string[] {
  return [
    ...objects.flatMap(({ object, error }) => (error === undefined ? [] : [`cannot remove ${object}: ${error}`])),
    ...unknown.map(({ kind, error }) => `cannot look for ${kind}: ${error}`),
  ]
}

export function renderReport(report: CleanupReport): string {
  const { isDryRun, objects, pods, settingsLeft, unknown } = report
  const gone = objects.filter(({ error }) => error === undefined)
  if (objects.length === 0) return unknown.length > 0 ? 'nothing found' : 'nothing of Bramble is on this node'
  const whose = pods === 1 ? 'one pod' : `${pods} pods`
  return [
    ...gone.map(({ object }) => `${isDryRun ? 'would remove' : 'removed'} ${object}`),
    isDryRun
      ? `${count(objects)}; nothing was changed`
      : `${gone.length === objects.length ? count(gone) : `${gone.length} of ${count(objects)}`} removed`,
    ...(pods > 0 ? [`${whose} ${isDryRun ? 'would lose' : 'lost'} the network until made anew`] : []),
    ...(settingsLeft.length > 0
      ? [`left as they are, since other programs may rely on them: ${settingsLeft.join(', ')}`]
      : []),
  ].join('\n')
}

function count(objects: readonly unknown[]): string {
  return `${objects.length} object${objects.length === 1 ? '' : 's'}`
}
