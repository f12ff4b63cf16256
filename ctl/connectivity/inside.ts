import { hostname } from 'node:os'
import { attempt } from './attempts.ts'
import { lastLine, outcomeLine, PROBES_VARIABLE, type Probe, SERVER_PORT } from './probe.ts'
import { reach } from './reach.ts'
import { ProbeServer } from './server.ts'

/** What runs inside of pods, by `connectivity test`. */

/** The far end, by the name of its pod, until it is told to end; on a node, until who started it is gone. */
export async function serve(argv: readonly string[]): Promise<number> {
  const server = await ProbeServer.listen(process.env.BRAMBLE_CONNECTIVITY_NAME ?? hostname(), SERVER_PORT)
  process.stdout.write('serving\n')
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve)
    if (argv.includes('--until-eof')) process.stdin.on('end', resolve).on('error', resolve).resume()
  })
  server.close()
  process.exit(0) // connections that are open must not keep the pod
}

/** The near end: tries what it is given, and says what came of it. */
export async function probe(): Promise<number> {
  const probes: Probe[] = JSON.parse(process.env[PROBES_VARIABLE] ?? '[]')
  await attempt(probes, reach, (outcome) => process.stdout.write(outcomeLine(outcome)))
  process.stdout.write(lastLine())
  return 0
}
