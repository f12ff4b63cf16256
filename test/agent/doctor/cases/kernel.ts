import { HEALTHY } from '../healthy.ts'
import type { Case } from './case.ts'

const { kernel } = HEALTHY

export const KERNEL_CASES: readonly Case[] = [
  {
    title: 'a tunnel that is in use and cannot be made, with the package of the distribution',
    check: 'tunnel-missing',
    facts: {
      kernel: {
        ...kernel,
        missingTunnels: new Map([
          [
            'vxlan',
            'this kernel (5.15.0-1040-raspi) has no vxlan (module vxlan, CONFIG_VXLAN): run "apt install linux-modules-extra-raspi" and "modprobe vxlan"; else reboot',
          ],
        ]),
      },
    },
    says: [['error', /vxlan is not possible: this kernel \(5\.15\.0-1040-raspi\) has no vxlan/]],
    commands: ['apt install linux-modules-extra-raspi', 'modprobe vxlan'],
  },
  {
    title: 'a tunnel that nobody uses yet',
    check: 'tunnel-missing',
    facts: { kernel: { ...kernel, missingTunnels: new Map([['vxlan', 'no vxlan: reboot']]), wantsTunnels: [] } },
    says: [['warning', /vxlan/]],
  },
  {
    title: 'a kernel that refuses what masquerading needs',
    check: 'kernel-feature',
    facts: { kernel: { ...kernel, refused: [{ feature: 'masquerading', module: 'nft_masq', error: 'ENOENT' }] } },
    says: [['error', /refuses masquerading: ENOENT/]],
    commands: ['modprobe nft_masq'],
  },
]
