import { complaints, renderReport } from '../cleanup/report.ts'
import { OptionError, type Options, parseOptions } from '../options.ts'

const LOOK_EVERY_MS = 2_000

const HELP = `bramble-agent uninstall [options of the agent]

Takes Bramble off this node: the plugin and the network configuration that the agent has installed, every object of it in the
kernel, its files, and in Kubernetes what it has written on the Node. Give it the options that the agent had: --config FILE.

      --dry-run  tell what would be removed, and change nothing
      --force    also when pods lose their network by it
      --wait     until no pod has its network by Bramble any more
  -o, --output   text or json

Exit code 1: something is left, and named; 2: refused, nothing was touched.
`

/**
 * `bramble-agent uninstall`.
 * @returns the exit code: 1 when something of ours is still there, or may be
 * @throws OptionError, LockedError
 */
export async function main(argv: readonly string[], version: string): Promise<number> {
  const { isDryRun, isForced, waits, output, rest } = split(argv)
  if (rest.includes('--help')) {
    process.stdout.write(HELP)
    return 0
  }
  const options = await parseOptions(rest, version)
  if (!options) return 0
  if (process.geteuid?.() !== 0) throw new Error('needs root: it removes links and routes; try sudo')

  const { uninstall } = await import('./uninstall.ts') // only now: it loads what speaks with the kernel
  if (waits) await untilNoPods(options)
  const report = await uninstall(options, { isDryRun, isForced })
  const wrong = complaints(report)
  process.stdout.write(`${output === 'json' ? JSON.stringify(report, null, 2) : renderReport(report)}\n`)
  process.stderr.write(wrong.map((line) => `bramble-agent: ${line}\n`).join(''))
  return wrong.length === 0 ? 0 : 1
}

/** What is for uninstall alone, and the options of the agent. @throws OptionError */
function split(argv: readonly string[]) {
  const rest = argv.filter((word) => !['--dry-run', '--force', '--wait'].includes(word))
  const at = rest.findIndex((word) => word === '-o' || word === '--output')
  const [, output = 'text'] = at < 0 ? [] : rest.splice(at, 2)
  if (output !== 'text' && output !== 'json') throw new OptionError(`--output "${output}" is neither text nor json`)
  const [isDryRun, isForced, waits] = ['--dry-run', '--force', '--wait'].map((word) => argv.includes(word))
  return { isDryRun: isDryRun === true, isForced: isForced === true, waits: waits === true, output, rest }
}

async function untilNoPods(options: Options): Promise<void> {
  const { podsOnNode } = await import('./uninstall.ts')
  let said = 0
  for (;;) {
    const pods = await podsOnNode(options)
    if (pods === 0) return
    if (pods !== said)
      process.stdout.write(
        `${pods === 1 ? 'one pod has its' : `${pods} pods have their`} network by Bramble: waiting until they are gone; kubectl drain ${options.nodeName} --ignore-daemonsets --delete-emptydir-data\n`,
      )
    said = pods
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
  }
}
