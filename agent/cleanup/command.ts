import { isAbsolute, join } from 'node:path'
import yargs from 'yargs'
import { OptionError } from '../options.ts'
import { complaints, renderReport } from './report.ts'

/**
 * `bramble-agent cleanup`.
 * @returns the exit code: 1 when something of ours is still there, or may be
 * @throws OptionError, LockedError
 */
export async function main(argv: readonly string[], version: string): Promise<number> {
  let isAnswered = false
  const parser = yargs([...argv])
    .scriptName('bramble-agent cleanup')
    .usage(
      '$0 [options]\n\nRemoves every object of Bramble from this node: links, routes, rules, nftables tables, files; and nothing else.',
    )
    .options({
      'dry-run': { type: 'boolean', default: false, describe: 'tell what would be removed, and change nothing' },
      force: { type: 'boolean', default: false, describe: 'also when pods lose their network by it' },
      'state-dir': {
        type: 'string',
        nargs: 1,
        default: process.env.BRAMBLE_STATE_DIR ?? '/run/bramble',
        defaultDescription: 'BRAMBLE_STATE_DIR, or /run/bramble',
        describe: "the agent's --state-dir",
      },
      socket: {
        type: 'string',
        nargs: 1,
        defaultDescription: 'BRAMBLE_SOCKET, or agent.sock in --state-dir',
        describe: "the agent's --socket",
      },
      output: {
        alias: 'o',
        nargs: 1,
        choices: ['text', 'json'] as const,
        default: 'text' as const,
        describe: 'how to print',
      },
    })
    .epilogue('Exit code 1: something is left, and named; 2: refused, nothing was touched.')
    .version(version)
    .help()
    .strict()
    .wrap(100)
    .exitProcess(false)
    .showHelpOnFail(false)
    .fail((message, error) => {
      throw new OptionError(`${(message || String(error?.message)).replace(/\s*\n\s*/g, ' ')}; see --help`)
    })
  const given = await parser.parseAsync([...argv], {}, (_error, _argv, output) => {
    if (!output) return
    isAnswered = true
    process.stdout.write(`${output}\n`)
  })
  if (isAnswered) return 0
  for (const option of ['dry-run', 'force', 'state-dir', 'socket', 'output'] as const)
    if (Array.isArray(given[option])) throw new OptionError(`--${option} is given more than once`)
  if (given._.length > 0) throw new OptionError(`"${given._[0]}" is no option; see --help`)
  const stateDir = absolute('--state-dir', given['state-dir'])
  const socket = absolute('--socket', given.socket ?? process.env.BRAMBLE_SOCKET ?? join(stateDir, 'agent.sock'))
  if (process.geteuid?.() !== 0) throw new Error('needs root: it removes links and routes; try sudo')

  const { cleanUp } = await import('./cleanup.ts') // only now: it loads what speaks with the kernel
  const report = await cleanUp({ stateDir, socket, isDryRun: given['dry-run'], isForced: given.force })
  const wrong = complaints(report)
  process.stdout.write(`${given.output === 'json' ? JSON.stringify(report, null, 2) : renderReport(report)}\n`)
  process.stderr.write(wrong.map((line) => `bramble-agent: ${line}\n`).join(''))
  return wrong.length === 0 ? 0 : 1
}

function absolute(option: string, path: string): string {
  if (!isAbsolute(path)) throw new OptionError(`${option} "${path}" is not an absolute path`)
  return path
}
