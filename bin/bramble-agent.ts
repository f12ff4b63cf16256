#!/usr/bin/env node
import { EndSignal } from '../agent/end-signal.ts'
import { OptionError, parseOptions } from '../agent/options.ts'
import { version } from '../agent/version.ts'
import { watchOutput } from '../ctl/lost-output.ts'

async function serve(argv: readonly string[]): Promise<void> {
  const endSignal = new EndSignal()
  const options = await parseOptions(argv, version())
  if (!options) return
  if (process.geteuid?.() !== 0) throw new Error('needs root: it makes links, routes and namespaces of pods; try sudo')
  const { main } = await import('../agent/main.ts') // only now: a wrong option touches nothing
  await main(options, version(), endSignal)
}

const PRINTS = ['--help', '--version', 'cleanup', 'uninstall']

const [, , ...argv] = process.argv
// Not for the daemon: its log goes out without this stream, which would set up the descriptor for its own use.
if (argv.some((word) => PRINTS.includes(word))) watchOutput('bramble-agent')
try {
  if (argv[0] === 'cleanup') {
    const { main } = await import('../agent/cleanup/command.ts')
    process.exitCode = await main(argv.slice(1), version())
  } else if (argv[0] === 'uninstall') {
    const { main } = await import('../agent/install/uninstall-command.ts')
    const exitCode = await main(argv.slice(1), version())
    // Connections to the API server are kept; what could not be printed is told before.
    setImmediate(() => process.exit(exitCode))
  } else {
    await serve(argv)
  }
} catch (error) {
  process.stderr.write(`bramble-agent: ${(error as Error).message}\n`)
  // At once: an agent that failed half way must not keep its socket, and callers waiting at it.
  process.exit(error instanceof OptionError ? 2 : 1)
}
