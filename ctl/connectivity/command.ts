import { printable, printableAnswer, printableJson } from '../printable.ts'
import { nextStep } from './next-step.ts'
import { parseTestOptions } from './options.ts'
import { renderReport } from './render.ts'
import type { Report } from './rows.ts'

/**
 * @returns the exit code: 0 all is well, 1 something failed, 129, 130 or 143 it was interrupted
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
  process.on('SIGINT', stop(130)).on('SIGTERM', stop(143)).on('SIGHUP', stop(129)) // the last: a terminal, or ssh, that has gone
  const { signal } = interrupted
  try {
    const report = options.isLocal
      ? await (await import('./local.ts')).testLocally({ ...options, say, signal })
      : await (await import('./cluster.ts')).testCluster({ ...options, say, signal })
    print(report, options.isJson)
    return Number(report.rows.some(({ result }) => result === 'failed'))
  } catch (error) {
    if (!signal.aborted) throw error
    process.exit(exitCode) // what was under way from this node would go on for seconds, and nobody waits for it
  }
}

function print({ rows, agentPods }: Report, isJson: boolean): void {
  const answer = rows.map((row) => (row.result === 'failed' ? { ...row, look: nextStep(row, agentPods) } : row))
  const text = isJson ? printableJson(answer) : renderReport({ rows: printableAnswer(rows), agentPods })
  process.stdout.write(`${text}\n`)
}
