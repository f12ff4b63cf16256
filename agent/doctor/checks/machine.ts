import { check } from '../check.ts'
import { command } from '../finding.ts'

/** The board, its clock and its supply. */

/** Bits of the firmware's answer: https://www.raspberrypi.com/documentation/computers/os.html#get_throttled */
const UNDER_VOLTAGE_NOW = 1 << 0
const THROTTLED_NOW = 1 << 2
const UNDER_VOLTAGE_SINCE_BOOT = 1 << 16

/** This version was not there before. A clock that is further back has never been set. */
const RELEASED_MS = Date.UTC(2026, 0, 1)

/** A token counts as of the future where its maker is further on than this (go-jose, DefaultLeeway). */
const MOST_APART_SECONDS = 60

export const MACHINE_CHECKS = [
  check({
    name: 'clock',
    symptom: '"x509: certificate has expired or is not yet valid"; images cannot be pulled after a reboot',
    needs: ['clock', 'agent'],
    find: ({ clock: { nowMs, isSynchronised, hasRtc }, agent: { answers } }) => {
      const remedies = [command('timedatectl set-ntp true'), command('timedatectl status')]
      const why = 'certificates of the API server, of Redis and of registries count as not yet valid'
      const rtc = hasRtc ? '' : ', and the board has no clock of its own: it starts where it was switched off'
      const now = new Date(nowMs).toISOString().slice(0, 16).replace('T', ' ')
      if (nowMs < RELEASED_MS)
        return [{ severity: 'error', what: `the clock says ${now}, before this version was made${rtc}`, why, remedies }]
      const aheadSeconds = answers?.clockAheadSeconds ?? 0
      if (Math.abs(aheadSeconds) > MOST_APART_SECONDS)
        return [
          {
            severity: 'error',
            what: `the clock (${now}) is ${inWords(Math.abs(aheadSeconds))} ${aheadSeconds > 0 ? 'ahead of' : 'behind'} that of the API server${rtc}`,
            why: 'certificates and tokens count as expired, or as not yet valid, sooner or later; logs of two nodes do not fit together',
            advice: 'one of the two is wrong: look at both, and let both be set by the same servers',
            remedies,
          },
        ]
      if (isSynchronised !== false) return []
      return [
        {
          severity: 'warning',
          what: `the clock (${now}) is not synchronised${rtc}`,
          why: `where it is wrong, ${why}`,
          remedies,
        },
      ]
    },
  }),
  check({
    name: 'under-voltage',
    symptom: 'nodes that restart or lose their network, USB and SD-card errors, all under load',
    needs: ['power'],
    find: ({ power: { throttled = 0 } }) => {
      const isNow = (throttled & (UNDER_VOLTAGE_NOW | THROTTLED_NOW)) !== 0
      if (!isNow && (throttled & UNDER_VOLTAGE_SINCE_BOOT) === 0) return []
      return [
        {
          severity: isNow ? 'error' : 'warning',
          what: `${isNow ? 'the supply is too weak at this moment' : 'the supply was too weak at least once since the start'} (get_throttled 0x${throttled.toString(16)})`,
          why: 'the processor is slowed down, and USB, Ethernet and the SD card fail in ways that look like network trouble',
          advice:
            'take the supply that belongs to the board (Pi 4: 5.1 V, 3 A; Pi 5: 5 A), a short cable, a powered USB hub',
          remedies: [command('vcgencmd get_throttled')],
        },
      ]
    },
  }),
  check({
    name: 'memory-cgroup',
    symptom: 'kubelet or k3s ends with "failed to find memory cgroup (v2)"',
    needs: ['cgroups'],
    find: ({ cgroups: { hasMemory, commandLineFile } }) =>
      hasMemory
        ? []
        : [
            {
              severity: 'error',
              what: 'the kernel counts no memory per cgroup',
              why: 'kubelet and k3s refuse to start',
              advice: 'then reboot',
              remedies: [
                command(
                  commandLineFile === undefined
                    ? 'cat /proc/cmdline # and add cgroup_enable=memory to it in the boot loader'
                    : `sed -i '1s/$/ cgroup_enable=memory cgroup_memory=1/' ${commandLineFile}`,
                ),
              ],
            },
          ],
  }),
  check({
    name: 'cgroup-version',
    symptom: 'kubelet warns about cgroup v1, or refuses it',
    needs: ['cgroups'],
    find: ({ cgroups: { version } }) =>
      version === 2
        ? []
        : [
            {
              severity: 'note',
              what: 'the node uses cgroup v1',
              why: 'Bramble does not mind; newer kubelets do',
              advice:
                "take systemd.unified_cgroup_hierarchy=0 out of the kernel's command line, or upgrade the system, and reboot",
              remedies: [],
            },
          ],
  }),
  check({
    name: 'page-size',
    symptom: 'containers end with "Unsupported system page size"',
    needs: ['machine'],
    find: ({ machine: { pageBytes, model, smallPagesConfig } }) =>
      pageBytes <= 4096
        ? []
        : [
            {
              severity: 'note',
              what: `pages have ${pageBytes / 1024} KiB${model && ` (${model})`}`,
              why: 'Bramble works with them; programs with a jemalloc that was built for 4 KiB (older Redis, MariaDB, Longhorn images) do not start',
              advice: 'newer images, or the kernel with 4 KiB pages, and a reboot',
              // The last section of the file may be for other boards.
              remedies:
                smallPagesConfig === undefined
                  ? []
                  : [command(`printf '\\n[all]\\nkernel=kernel8.img\\n' >> ${smallPagesConfig}`)],
            },
          ],
  }),
]

function inWords(seconds: number): string {
  if (seconds < 7200) return `${seconds} s`
  const hours = Math.round(seconds / 3600)
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} days`
}
