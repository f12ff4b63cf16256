import { readFileSync } from 'node:fs'
import { release } from 'node:os'
import { isClockSynchronised } from '../../kernel/clock.ts'
import type { Cgroups, Clock, Machine, Power } from '../facts.ts'
import type { Places } from '../places.ts'
import { outputOf } from './command.ts'

/** include/uapi/linux/auxvec.h */
const AT_PAGESZ = 6n

export function machine(places: Places, version: string): Machine {
  return {
    version,
    osRelease: places.read('/etc/os-release') ?? '',
    kernelRelease: release(),
    model: (places.read('/proc/device-tree/model') ?? '').replaceAll('\0', '').trim(),
    pageBytes: pageBytes(places),
    smallPagesConfig: smallPagesConfig(places),
  }
}

/** Raspberry Pi OS has both kernels, others for the same board have not. */
function smallPagesConfig(places: Places): string | undefined {
  const folder = ['/boot/firmware', '/boot'].find((one) => places.has(`${one}/config.txt`))
  return folder !== undefined && places.has(`${folder}/kernel8.img`) ? `${folder}/config.txt` : undefined
}

/** The kernel tells each program by its auxiliary vector: pairs of numbers of 8 bytes. */
function pageBytes(places: Places): number {
  const vector = readFileSync(places.path('/proc/self/auxv'))
  for (let offset = 0; offset + 16 <= vector.length; offset += 16)
    if (vector.readBigUInt64LE(offset) === AT_PAGESZ) return Number(vector.readBigUInt64LE(offset + 8))
  throw new Error('/proc/self/auxv does not tell the size of a page')
}

export function clock(places: Places): Clock {
  return { nowMs: Date.now(), isSynchronised: isClockSynchronised(), hasRtc: places.list('/sys/class/rtc').length > 0 }
}

/** The file of Raspberry Pi's own kernels; else the program, which asks the firmware itself. */
export async function power(places: Places): Promise<Power> {
  const platform = '/sys/devices/platform'
  for (const soc of places.list(platform).filter((name) => name.startsWith('soc')))
    for (const firmware of places.list(`${platform}/${soc}`).filter((name) => name.endsWith(':firmware'))) {
      const text = places.read(`${platform}/${soc}/${firmware}/get_throttled`)
      if (text) return { throttled: Number.parseInt(text, 16) }
    }
  const said = await outputOf('vcgencmd', ['get_throttled'])
  const [, bits] = /^throttled=0x([0-9a-f]+)/.exec(said?.stdout ?? '') ?? []
  return { throttled: bits === undefined ? undefined : Number.parseInt(bits, 16) }
}

/** @throws Error where no cgroups are mounted */
export function cgroups(places: Places): Cgroups {
  const commandLineFile = ['/boot/firmware/cmdline.txt', '/boot/cmdline.txt'].find((path) => places.has(path))
  const controllers = places.read('/sys/fs/cgroup/cgroup.controllers')
  if (controllers !== undefined)
    return { version: 2, hasMemory: controllers.split(/\s+/).includes('memory'), commandLineFile }
  // cgroups(7): name, hierarchy, number of cgroups, enabled
  const line = /^memory\s+\d+\s+\d+\s+(\d)/m.exec(places.read('/proc/cgroups') ?? '')
  if (!places.has('/sys/fs/cgroup/memory') && !line) throw new Error('no cgroups are mounted here')
  return { version: 1, hasMemory: line?.[1] === '1', commandLineFile }
}
