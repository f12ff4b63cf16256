import { check } from '../check.ts'
import { command, type Finding } from '../finding.ts'
import { RESTART_PODS } from './restart-pods.ts'

/** SD cards: what is full, and what wears them out. */

const MIB = 2 ** 20
/** /run is small: kubelet, containerd and the agent keep what they know of pods there. */
const LEAST_BYTES: Readonly<Record<string, number>> = { '/run': 4 * MIB }
const LEAST_DISK_BYTES = 200 * MIB

/** The plugins that it installs have 6 MiB, and whoever deletes them has them written again. */
const MOST_WRITTEN_BYTES = 16 * MIB

const isSdCard = (device: string) => /^\/dev\/mmcblk\d/.test(device)

export const STORAGE_CHECKS = [
  check({
    name: 'no-space',
    symptom: '"no space left on device"; pods are evicted; 0-byte files after a reboot',
    needs: ['storage'],
    find: ({ storage: { fileSystems } }) =>
      fileSystems
        .filter(
          ({ path, freeBytes, freeFiles }) => freeBytes < (LEAST_BYTES[path] ?? LEAST_DISK_BYTES) || freeFiles === 0,
        )
        .map(
          ({ path, freeBytes, freeFiles }): Finding => ({
            severity: 'error',
            what: `the file system of ${path} is full: ${freeFiles === 0 ? 'no file can be added' : `${Math.floor(freeBytes / MIB)} MiB are free`}`,
            why:
              path === '/run'
                ? 'runtime and agent cannot keep what they know of pods'
                : 'images cannot be pulled, logs and state files are cut short',
            remedies: [command(`du -x -h -d2 ${path} | sort -h | tail`), command('journalctl --vacuum-size=50M')],
          }),
        ),
  }),
  check({
    name: 'sd-card-journal',
    symptom: 'SD cards that fail after a year or two',
    needs: ['storage'],
    find: ({ storage: { rootDevice, journal } }) =>
      isSdCard(rootDevice) && journal === 'persistent'
        ? [
            {
              severity: 'note',
              what: 'the journal is kept on the SD card',
              why: 'logs are most of what such nodes write, and cards take a limited number of writes',
              advice: 'keep it in memory, and lose it at a reboot',
              remedies: [
                command(
                  "mkdir -p /etc/systemd/journald.conf.d && printf '[Journal]\\nStorage=volatile\\nRuntimeMaxUse=32M\\n' > /etc/systemd/journald.conf.d/volatile.conf",
                ),
                command('systemctl restart systemd-journald'),
              ],
            },
          ]
        : [],
  }),
  check({
    name: 'sd-card-swap',
    symptom: 'pods start slowly when memory is short',
    needs: ['storage'],
    find: ({ storage: { rootDevice, swaps } }) => {
      const onCard = swaps.filter((swap) => isSdCard(swap) || (isSdCard(rootDevice) && !swap.startsWith('/dev/')))
      return onCard.length === 0
        ? []
        : [
            {
              severity: 'warning',
              what: `memory is paged out to the SD card: ${onCard.join(', ')}`,
              why: 'what has to come back from there keeps calls of pods waiting for seconds, and wears the card',
              advice: 'zram (package zram-tools or systemd-zram-generator) does without the card',
              remedies: [command(`swapoff ${onCard[0]}`)],
            },
          ]
    },
  }),
  check({
    name: 'agent-writes',
    symptom: 'the agent is suspected of wearing the SD card',
    needs: ['storage'],
    find: ({ storage: { agentWrittenBytes = 0 } }) =>
      agentWrittenBytes < MOST_WRITTEN_BYTES
        ? []
        : [
            {
              severity: 'warning',
              what: `the agent has written ${(agentWrittenBytes / MIB).toFixed(1)} MiB to disks since it started`,
              why: 'it should write nothing there in normal work: its state belongs on tmpfs',
              advice: 'see that --state-dir is on tmpfs (/run/bramble), and whether the agent was paged out',
              remedies: [command('findmnt -T /run/bramble')],
            },
          ],
  }),
  check({
    name: 'agent-paged-out',
    symptom: 'the first pod after a quiet time takes seconds to start',
    needs: ['storage', 'agent'],
    find: ({ storage: { agentSwappedBytes = 0 }, agent: { runsAs } }) =>
      agentSwappedBytes < 8 * MIB
        ? []
        : [
            {
              severity: 'warning',
              what: `${(agentSwappedBytes / MIB).toFixed(0)} MiB of the agent are paged out`,
              why: 'the next ADD waits until they are read back',
              advice:
                'memory is short, or the agent has a limit that is too small for it: give it none, and the node less to do',
              remedies: [
                command('free -m'),
                command(runsAs === 'pod' ? RESTART_PODS : 'systemctl set-property bramble-agent MemorySwapMax=0'),
              ],
            },
          ],
  }),
]
