import { statfsSync } from 'node:fs'
import type { FileSystem, Storage } from '../facts.ts'
import type { Places } from '../places.ts'

/** In the agent's pod this alone is the node's /run. */
const STATE = '/run/bramble'
const WATCHED = ['/run', '/', '/var/log', '/var/lib']

/** @param agentPid absent: the agent is away */
export function storage(places: Places, agentPid: number | undefined): Storage {
  return {
    rootDevice: deviceOf(places, places.path('/etc/cni/net.d')) || deviceOf(places, '/'),
    fileSystems: WATCHED.flatMap((path) => fileSystem(places, path)),
    journal: journal(places),
    swaps: (places.read('/proc/swaps') ?? '')
      .split('\n')
      .slice(1)
      .flatMap((line) => line.split(/\s+/)[0] || []),
    ...(agentPid === undefined ? NOBODY : processFacts(places, agentPid)),
  }
}

/** proc_pid_mountinfo(5): of the mounts that the path is below, the longest, and of several there the last one. */
function deviceOf(places: Places, path: string): string {
  const mounts = (places.read('/proc/self/mountinfo') ?? '').split('\n').map((line) => {
    const [before = '', after = ''] = line.split(' - ')
    return { point: before.split(' ')[4] ?? '', device: after.split(' ')[1] ?? '' }
  })
  const fitting = mounts.filter(
    ({ point }) => point === path || path.startsWith(point.endsWith('/') ? point : `${point}/`),
  )
  return fitting.toSorted((a, b) => a.point.length - b.point.length).at(-1)?.device ?? ''
}

function fileSystem(places: Places, path: string): FileSystem[] {
  try {
    const { bavail, bsize, blocks, files, ffree } = statfsSync(
      places.path(path === '/run' && places.has(STATE) ? STATE : path),
    )
    // A squashfs or an image's root has no room by nature.
    return blocks === 0 || (path === '/' && bavail === 0 && ffree === 0)
      ? []
      : [{ path, freeBytes: bavail * bsize, freeFiles: files === 0 ? Infinity : ffree }]
  } catch {
    return []
  }
}

/** journald.conf(5), Storage=auto: persistent where the folder is there. */
function journal(places: Places): Storage['journal'] {
  const files = ['/usr/lib/systemd/journald.conf.d', '/etc/systemd/journald.conf.d'].flatMap((folder) =>
    places.list(folder).map((name) => `${folder}/${name}`),
  )
  const texts = ['/etc/systemd/journald.conf', ...files].map((file) => places.read(file) ?? '')
  const [, storage = 'auto'] = texts.flatMap((text) => [...text.matchAll(/^\s*Storage=(\w+)/gm)]).at(-1) ?? []
  if (storage === 'none') return 'none'
  return storage === 'persistent' || (storage === 'auto' && places.has('/var/log/journal')) ? 'persistent' : 'volatile'
}

const NOBODY = { agentWrittenBytes: undefined, agentSwappedBytes: undefined }

/** @param pid by the agent's word, which in a container is another one than here */
function processFacts(places: Places, pid: number): typeof NOBODY | Record<keyof typeof NOBODY, number | undefined> {
  if (!places.read(`/proc/${pid}/cmdline`)?.includes('bramble-agent')) return NOBODY
  // What went to the block layer for it: tmpfs does not count.
  const written = numberIn(places.read(`/proc/${pid}/io`), /^write_bytes: (\d+)/m)
  const swappedKib = numberIn(places.read(`/proc/${pid}/status`), /^VmSwap:\s*(\d+) kB/m)
  return { agentWrittenBytes: written, agentSwappedBytes: swappedKib === undefined ? undefined : swappedKib * 1024 }
}

function numberIn(text: string | undefined, line: RegExp): number | undefined {
  const [, number] = line.exec(text ?? '') ?? []
  return number === undefined ? undefined : Number(number)
}
