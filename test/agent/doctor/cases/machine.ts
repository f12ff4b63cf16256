import { HEALTHY } from '../healthy.ts'
import type { Case } from './case.ts'

const { agent, cgroups, machine } = HEALTHY

/** From the API server's clock. */
const apart = (clockAheadSeconds: number) => ({
  agent: { ...agent, answers: { ...(agent.answers as NonNullable<typeof agent.answers>), clockAheadSeconds } },
})

export const MACHINE_CASES: readonly Case[] = [
  {
    title: 'a clock that was never set',
    check: 'clock',
    facts: { clock: { nowMs: Date.UTC(1970, 0, 1), isSynchronised: false, hasRtc: false } },
    says: [['error', /says 1970-01-01 00:00, before this version was made, and the board has no clock/]],
  },
  {
    title: 'a clock that nobody keeps right',
    check: 'clock',
    facts: { clock: { nowMs: Date.UTC(2026, 10, 21), isSynchronised: false, hasRtc: true } },
    says: [['warning', /not synchronised$/]],
  },
  {
    title: 'a clock that is an hour behind the API server',
    check: 'clock',
    facts: apart(-3600),
    says: [['error', /^the clock \(2026-11-21 00:00\) is 3600 s behind that of the API server, and the board has no/]],
    commands: ['timedatectl set-ntp true', 'timedatectl status'],
  },
  {
    title: 'a clock that is days before it',
    check: 'clock',
    facts: apart(3 * 86_400),
    says: [['error', /is 3 days ahead of that of the API server/]],
  },
  {
    title: 'a clock that is nearly the same',
    check: 'clock',
    facts: apart(-59),
    says: [],
  },
  {
    title: 'a supply that is too weak now',
    check: 'under-voltage',
    facts: { power: { throttled: 0x50005 } },
    says: [['error', /at this moment \(get_throttled 0x50005\)/]],
  },
  {
    title: 'a supply that was too weak',
    check: 'under-voltage',
    facts: { power: { throttled: 0x50000 } },
    says: [['warning', /at least once/]],
  },
  {
    title: 'a machine without such a firmware',
    check: 'under-voltage',
    facts: { power: { throttled: undefined } },
    says: [],
  },
  {
    title: 'no memory cgroup, as Raspberry Pi OS ships it',
    check: 'memory-cgroup',
    facts: { cgroups: { ...cgroups, hasMemory: false } },
    says: [['error', /no memory per cgroup/]],
    commands: ["sed -i '1s/$/ cgroup_enable=memory cgroup_memory=1/' /boot/firmware/cmdline.txt"],
  },
  {
    title: 'cgroup v1',
    check: 'cgroup-version',
    facts: { cgroups: { ...cgroups, version: 1 } },
    says: [['note', /cgroup v1/]],
  },
  {
    title: 'pages of 16 KiB on a Pi 5',
    check: 'page-size',
    facts: { machine: { ...machine, pageBytes: 16_384, model: 'Raspberry Pi 5 Model B Rev 1.0' } },
    says: [['note', /16 KiB \(Raspberry Pi 5/]],
    commands: ["printf '\\n[all]\\nkernel=kernel8.img\\n' >> /boot/firmware/config.txt"],
  },
  {
    title: 'the same board with a system that has no other kernel',
    check: 'page-size',
    facts: { machine: { ...machine, pageBytes: 16_384, smallPagesConfig: undefined } },
    says: [['note', /16 KiB/]],
    commands: [],
  },
]
