import { type Dirent, lstatSync, readdirSync, realpathSync, rmdirSync, type Stats, unlinkSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { STARTING_SOCKET } from '../../plugin/frame.ts'
import { isContainerId, isIfname } from '../../plugin/request.ts'
import { OptionError } from '../options.ts'
import { STATE_FILES } from '../ownership.ts'
import type { Found, Step } from './step.ts'

export interface FoundFile extends Found {
  readonly path: string
  readonly isFolder: boolean
}

export interface Places {
  readonly stateDir: string
  readonly socket: string
}

/**
 * The agent's files, by their names and because they are for root alone (0600): a `lock` is in many a folder. Folders
 * go when nothing else is in them.
 */
export function files({ stateDir, socket }: Places): Step<FoundFile> {
  return {
    name: 'files',
    list: async () => {
      const folders = new Set([realPath(stateDir), realPath(dirname(socket))])
      return [...folders].flatMap((folder) => filesOf(folder, basename(socket)))
    },
    remove: async (found) => found.map(removeOne),
  }
}

/** @throws OptionError for a folder that is surely not the agent's own */
export function refuseSystemFolder(option: string, folder: string): void {
  const real = realPath(folder)
  if (/^\/[^/]*$/.test(real) || /^\/(proc|sys|dev)\//.test(real))
    throw new OptionError(`${option}: ${real} is a folder of the system; name the agent's own one, like /run/bramble`)
}

/** What of ours is in a folder, and the folder itself where it would be empty then. */
function filesOf(folder: string, socketName: string): FoundFile[] {
  const entries = readFolder(folder)
  if (!entries) return []
  const notes = notesOf(join(folder, 'pending'))
  const ours = entries
    .filter(({ name }) => isOurs(join(folder, name), name, socketName))
    .map(({ name }) => file(join(folder, name)))
  const isAll = ours.length + notes.filter(({ isFolder }) => isFolder).length === entries.length
  // `lock` is a name of many programs: where nothing else is ours, it is theirs.
  const isTheirs = !isAll && notes.length === 0 && ours.every(({ path }) => basename(path) === 'lock')
  return [...notes, ...(isTheirs ? [] : ours), ...(isAll && !isMountPoint(folder) ? [directory(folder)] : [])]
}

/** Notes of DELs that found no agent; the plugin writes them, empty. */
function notesOf(folder: string): FoundFile[] {
  const entries = readFolder(folder)
  if (!entries) return []
  const notes = entries.filter(({ name }) => isNote(name) && isPrivate(join(folder, name), isEmptyFile))
  return [
    ...notes.map(({ name }) => file(join(folder, name))),
    ...(notes.length === entries.length ? [directory(folder)] : []),
  ]
}

const isEmptyFile = (stats: Stats) => stats.isFile() && stats.size === 0

function isNote(name: string): boolean {
  const [containerId = '', ifname = '', ...rest] = name.split(':')
  return rest.length === 0 && isContainerId(containerId) && isIfname(ifname)
}

function isOurs(path: string, name: string, socketName: string): boolean {
  if (name === socketName || name === STARTING_SOCKET) return isPrivate(path, (stats) => stats.isSocket())
  return STATE_FILES.includes(name) && isPrivate(path, (stats) => stats.isFile())
}

function isPrivate(path: string, isKind: (stats: Stats) => boolean): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  return stats !== undefined && isKind(stats) && stats.uid === process.geteuid?.() && (stats.mode & 0o077) === 0
}

/** A volume of a container: the folder is not the agent's to remove. */
function isMountPoint(folder: string): boolean {
  return lstatSync(folder).dev !== lstatSync(dirname(folder)).dev
}

/** @returns undefined where there is no such folder @throws Error when it cannot be read */
function readFolder(folder: string): Dirent[] | undefined {
  if (!lstatSync(folder, { throwIfNoEntry: false })?.isDirectory()) return undefined
  return readdirSync(folder, { withFileTypes: true })
}

/** The path itself where nothing is there yet. */
function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

const file = (path: string): FoundFile => ({ text: `file ${path}`, path, isFolder: false })
const directory = (path: string): FoundFile => ({ text: `folder ${path}`, path, isFolder: true })

function removeOne({ path, isFolder }: FoundFile): Error | undefined {
  try {
    if (isFolder) rmdirSync(path)
    else unlinkSync(path)
    return undefined
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : (error as Error)
  }
}
