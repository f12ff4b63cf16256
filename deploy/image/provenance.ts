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
export function provenance(folder = PROJECT): Provenance {
  const git = (...args: string[]) => {
    // Root builds what somebody else has checked out. Git refuses that for what the repository might run: make has run it by now.
    const words = ['-C', folder, '-c', `safe.directory=${folder}`, ...args]
    try {
      return execFileSync('git', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
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
