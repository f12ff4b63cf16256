const MARK = /#([0-9a-f]{8})"$/

/**
 * What of a table can be compared: versions of `nft` print the same rules differently, but not the marks in our comments.
 * A line that is not ours (a rule that somebody put in, `flags dormant`) stays as it is, and makes the difference. Pure.
 * @param text as `nft` lists a table, or as we define it
 * @returns '' for no table
 */
export function outlineOf(text: string): string {
  let block = ''
  return text
    .split('\n')
    .flatMap((spaced) => {
      const line = spaced.trim()
      if (line === '' || line === '}') return []
      if (line.endsWith('{')) {
        block = line.slice(0, line.indexOf(' '))
        return [line]
      }
      const mark = MARK.exec(line)?.[1]
      if (mark) return [mark]
      // A set cannot be changed while rules look into it, and what else is printed of one depends on the version.
      return block === 'set' && !line.startsWith('type ') ? [] : [line]
    })
    .join('\n')
}
