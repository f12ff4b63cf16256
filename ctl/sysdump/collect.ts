import { ask } from '../ask.ts'
import { printableJson } from '../printable.ts'
import type { Item } from './contents.ts'
import { folderFiles, listing, processes, settings, tailOf } from './files.ts'
import { runProgram } from './program.ts'

/** One file of the archive to be, or why there is none. */
export interface Part {
  readonly path: string
  readonly text?: string
  /** Where it is from, in words that a person can repeat. */
  readonly from: string
  /** What is to be said of it: why it is not there, or not whole. */
  readonly remark?: string
}

export interface CollectOptions {
  readonly socket: string
  readonly programTimeoutMs: number
  readonly partBytesMax: number
}

/** Asking every node takes the agent seconds, the doctor half a minute. */
const SELF_TIMEOUT_MS = 60_000
/** The most files of one folder. */
const FILES_MAX = 64

/** Never throws: what cannot be had is a part without a text. */
export async function collect(item: Item, options: CollectOptions): Promise<Part[]> {
  const from = sourceOf(item)
  try {
    return (await read(item, options)).map((part) => ({ from, ...part }))
  } catch (error) {
    return [{ path: item.path, from, remark: reason(item, error as NodeJS.ErrnoException) }]
  }
}

type Read = Omit<Part, 'from'> & { readonly from?: string }

async function read(item: Item, { socket, programTimeoutMs, partBytesMax }: CollectOptions): Promise<Read[]> {
  const { path } = item
  switch (item.kind) {
    case 'answer':
      return [{ path, text: `${printableJson(await ask(socket, item.call))}\n` }]
    case 'program':
      return [{ path, ...(await plainOutput(item, programTimeoutMs, partBytesMax)) }]
    case 'self': {
      const command = [process.execPath, process.argv[1] ?? '', ...item.args, '--socket', socket]
      return [{ path, ...(await output(command, SELF_TIMEOUT_MS, partBytesMax)) }]
    }
    case 'file':
      return [{ path, ...tailOf(item.file, partBytesMax) }]
    case 'folder':
      return folderFiles(item.folder, item.names, FILES_MAX).map(({ name, file }) => {
        try {
          return { path: `${path}/${name}`, from: file, ...tailOf(file, partBytesMax) }
        } catch (error) {
          return { path: `${path}/${name}`, from: file, remark: reason(item, error as NodeJS.ErrnoException) }
        }
      })
    case 'listing':
      return [{ path, text: listing(item.folder) }]
    case 'settings':
      return [{ path, text: settings(item.patterns) }]
    case 'processes':
      return [{ path, text: processes(item.names, item.nameAlone) }]
  }
}

type Program = Extract<Item, { kind: 'program' }>

/** Where the full command is more than the program knows, the plain one. */
async function plainOutput(
  { command, plain }: Program,
  timeoutMs: number,
  bytesMax: number,
): Promise<Omit<Read, 'path'>> {
  const found = await output(command, timeoutMs, bytesMax)
  return plain && found.isEmpty ? { ...(await output(plain, timeoutMs, bytesMax)), from: plain.join(' ') } : found
}

async function output(command: readonly string[], timeoutMs: number, bytesMax: number) {
  const { stdout, stderr, exitCode, isLate, isCut } = await runProgram(command, timeoutMs, bytesMax)
  const words = stderr.trim() === '' ? '' : `\n--- stderr ---\n${stderr}`
  const remarks = [
    ...(isLate ? [`ended: it did not come to an end within ${timeoutMs / 1000} s`] : []),
    ...(isCut ? [`cut at ${bytesMax} bytes`] : []),
    ...(exitCode
      ? [`exit code ${exitCode}${stdout.length === 0 && stderr ? `: ${stderr.trim().split('\n')[0]}` : ''}`]
      : []),
  ]
  const isEmpty = stdout.length === 0 && exitCode !== 0
  return {
    isEmpty,
    text: `${stdout.toString('utf8')}${words}`,
    ...(remarks.length > 0 && { remark: remarks.join('; ') }),
  }
}

function sourceOf(item: Item): string {
  switch (item.kind) {
    case 'answer':
      return `bramblectl ${item.call} -o json`
    case 'program':
      return item.command.join(' ')
    case 'self':
      return `bramblectl ${item.args.join(' ')}`
    case 'file':
      return item.file
    case 'folder':
      return item.folder
    case 'listing':
      return `ls -la ${item.folder}`
    case 'settings':
      return 'sysctl -a, some of it'
    case 'processes':
      return 'ps, some of it'
  }
}

function reason(item: Item, { code, message }: NodeJS.ErrnoException): string {
  if (item.kind === 'program' && code === 'ENOENT')
    return `not installed${item.debian ? ` (Debian: ${item.debian})` : ''}`
  if (code === 'ENOENT') return 'not there'
  if (code === 'EACCES' || code === 'EPERM') return 'not allowed; try sudo'
  return message
}
