import { HEALTHY } from '../healthy.ts'
import type { Case } from './case.ts'

const { agent, storage } = HEALTHY

export const STORAGE_CASES: readonly Case[] = [
  {
    title: 'file systems without room, and without files',
    check: 'no-space',
    facts: {
      storage: {
        ...storage,
        fileSystems: [
          { path: '/run', freeBytes: 2 ** 21, freeFiles: 100 },
          { path: '/var/log', freeBytes: 2 ** 40, freeFiles: 0 },
          { path: '/', freeBytes: 2 ** 40, freeFiles: Infinity },
        ],
      },
    },
    says: [
      ['error', /\/run is full: 2 MiB are free/],
      ['error', /\/var\/log is full: no file can be added/],
    ],
  },
  {
    title: 'a journal on the SD card',
    check: 'sd-card-journal',
    facts: { storage: { ...storage, journal: 'persistent' } },
    says: [['note', /journal is kept on the SD card/]],
  },
  {
    title: 'a journal on another disk',
    check: 'sd-card-journal',
    facts: { storage: { ...storage, journal: 'persistent', rootDevice: '/dev/nvme0n1p2' } },
    says: [],
  },
  {
    title: 'memory that is paged out to the SD card',
    check: 'sd-card-swap',
    facts: { storage: { ...storage, swaps: ['/var/swap', '/dev/zram0'] } },
    says: [['warning', /SD card: \/var\/swap$/]],
    commands: ['swapoff /var/swap'],
  },
  {
    title: 'an agent that writes to disks',
    check: 'agent-writes',
    facts: { storage: { ...storage, agentWrittenBytes: 30 * 2 ** 20 } },
    says: [['warning', /has written 30\.0 MiB/]],
  },
  {
    title: 'the plugins that an agent installs, and puts back, are not what wears a card',
    check: 'agent-writes',
    facts: { storage: { ...storage, agentWrittenBytes: 7 * 2 ** 20 } },
    says: [],
  },
  {
    title: 'an agent that is paged out',
    check: 'agent-paged-out',
    facts: { storage: { ...storage, agentSwappedBytes: 30 * 2 ** 20 } },
    says: [['warning', /^30 MiB of the agent are paged out/]],
    commands: ['free -m', 'systemctl set-property bramble-agent MemorySwapMax=0'],
  },
  {
    title: 'an agent in a pod that is paged out is of no unit',
    check: 'agent-paged-out',
    facts: { storage: { ...storage, agentSwappedBytes: 30 * 2 ** 20 }, agent: { ...agent, runsAs: 'pod' } },
    says: [['warning', /^30 MiB of the agent are paged out/]],
    commands: ['free -m', 'kubectl -n kube-system rollout restart daemonset bramble'],
  },
]
