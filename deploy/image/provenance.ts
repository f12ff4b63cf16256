import { execFileSync } from 'node:child_process'
import { PROJECT } from './bundle.ts'

export interface Provenance {
  /** The commit. */
  readonly revision: string
  readonly createdAt: Date
}

/**
 * Of the commit that is checked out, so that whoever builds it again gets the same image; SOURCE_DATE_EPOCH counts more
 * (https://reproducible-builds.org/specs/source-date-epoch). 1970 where there is no repository.
 */
export function provenance(): Provenance {
  const git = (...args: string[]) => {
    try {
      return execFileSync('git', args, { cwd: PROJECT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
    } catch {
      return ''
    }
  }
  const seconds = process.env.SOURCE_DATE_EPOCH ?? git('log', '-1', '--format=%ct')
  return {
    revision: git('describe', '--always', '--abbrev=40', '--dirty', '--exclude=*') || 'unknown',
    createdAt: new Date(Number(seconds) * 1000),
  }
}
