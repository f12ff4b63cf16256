import { printable, printableAnswer, printableJson } from '../printable.ts'
import { nextStep } from './next-step.ts'
import { parseTestOptions } from './options.ts'
import { renderRows } from './render.ts'
import type { Row } from './rows.ts'

/**
 * @returns the exit code: 0 all is well, 1 something failed, 130 or 143 it was interrupted
 * @throws UsageError; AskError, LocalPodError, PluginCallError; NoKubeconfigError, KubeconfigError, ClusterTestError
 */
export async function main(argv: readonly string[], version: string): Promise<number> {
  const options = await parseTestOptions(argv, version)
  if (!options) return 0
  const say = (text: string) => process.stderr.write(`${printable(text)}\n`)
  const interrupted = new AbortController()
  let exitCode = 0
  const stop = (code: number) => () => {
    if (exitCode !== 0) process.exit(code) // twice: somebody is in a hurry
    exitCode = code
    say('interrupted: what was made is taken away; once more leaves it')
    interrupted.abort()
  }
  process.on('SIGINT', stop(130)).on('SIGTERM', stop(143))
  const { signal } = interrupted
  try {
    const rows = options.isLocal
      ? await (await import('./local.ts')).testLocally({ ...options, say, signal })
      : await (await import('./cluster.ts')).testCluster({ ...options, say, signal })
    print(rows, options.isJson)
    return Number(rows.some(({ result }) => result === 'failed'))
  } catch (error) {
    if (!signal.aborted) throw error
    return exitCode
  }
}

function print(rows: readonly Row[], isJson: boolean): void {
  const answer = rows.map((row) => (row.result === 'failed' ? { ...row, look: nextStep(row) } : row))
  process.stdout.write(`${isJson ? printableJson(answer) : renderRows(printableAnswer(rows))}\n`)
}
