import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { ask } from '../ask.ts'
import { parseOwnOptions, SOCKET_OPTION } from '../own-options.ts'
import { printable } from '../printable.ts'
import { UsageError } from '../usage-error.ts'
import { Archive } from './archive.ts'
import { CONTENTS } from './contents.ts'
import { sysdump } from './sysdump.ts'

const USAGE = `bramblectl sysdump [--file FILE]

Gathers what a maintainer needs to see of this node into one archive: what the agent says, links, routes, rules,
settings, configurations, the last lines of the logs. Works while the agent is away. Passwords, tokens and private
keys are left out; names and addresses are in it: look at it before you give it to somebody.

INDEX.txt in the archive has a line for each file, and why one is not there.
Exit codes: 0 written, with whatever could be had; 1 not written; 2 wrong command line.

Examples:
  sudo bramblectl sysdump
  ssh pi-1 sudo bramblectl sysdump --file - > pi-1.tar.gz
  kubectl -n kube-system exec POD -- bramblectl sysdump --file - > pi-1.tar.gz   # POD: the agent's on that node`

const OPTIONS = {
  file: {
    type: 'string',
    nargs: 1,
    describe: 'where to; - for stdout',
    defaultDescription: 'bramble-sysdump-NODE-TIME.tar.gz, here',
  },
  socket: SOCKET_OPTION,
} as const

/** What the agent may take for its own name. */
const NAME_TIMEOUT_MS = 3_000

/**
 * @returns the exit code
 * @throws UsageError, ArchiveError
 */
export async function main(argv: readonly string[], version: string): Promise<number> {
  const given = await parseOwnOptions('sysdump', USAGE, OPTIONS, argv, version)
  if (!given) return 0
  const now = new Date()
  const nodeName = await nodeNameOf(given.socket)
  const folder = `bramble-sysdump-${nodeName}-${now.toISOString().replace(/[-:]|\.\d+/g, '')}`
  const file = given.file ?? `${folder}.tar.gz`
  if (file === '-' && process.stdout.isTTY) throw new UsageError('an archive is nothing for a terminal; name a file')
  let archive: Archive | undefined
  for (const [signal, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)
    process.once(signal, () => {
      archive?.abandon()
      process.exit(exitCode)
    })
  archive = Archive.create(file, Math.floor(now.getTime() / 1000))
  const heading = { nodeName, version, time: now.toISOString(), isRoot: process.geteuid?.() === 0 }
  const { files, missing } = await sysdump(archive, folder, heading, CONTENTS, given.socket).catch((error) => {
    archive?.abandon() // whatever it was: half an archive looks like a whole one
    throw error
  })
  process.stderr.write(
    `wrote ${file === '-' ? 'it' : printable(file)}: ${files} files; ${missing} could not be had, INDEX.txt in it says why\n` +
      'Secrets are left out; names and addresses are in it. Look at it before you give it to somebody.\n',
  )
  return 0
}

/** By the agent, by what its pod was told, or by the host; fit for the name of a file. */
async function nodeNameOf(socket: string): Promise<string> {
  const late = sleep(NAME_TIMEOUT_MS, undefined, { ref: false })
  const told = await Promise.race([ask(socket, 'status').catch(() => undefined), late])
  return (told?.nodeName || process.env.BRAMBLE_NODE_NAME || hostname()).replace(/[^a-zA-Z0-9.-]/g, '-').slice(0, 63)
}
