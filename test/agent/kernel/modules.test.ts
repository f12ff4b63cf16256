import t from 'tap'
import { ENCAPSULATIONS, remedyFor } from '../../../agent/kernel/modules.ts'

const UBUNTU = 'PRETTY_NAME="Ubuntu 22.04.3 LTS"\nNAME="Ubuntu"\nVERSION_ID="22.04"\nID=ubuntu\nID_LIKE=debian\n'
const DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n'
const RASPBIAN = 'PRETTY_NAME="Raspbian GNU/Linux 12 (bookworm)"\nID=raspbian\nID_LIKE=debian\n'
const ALPINE = 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.20.3\n'
const FEDORA = "NAME='Fedora Linux'\nID='fedora'\n"
const MINT = 'NAME="Linux Mint"\nID=linuxmint\nID_LIKE="ubuntu debian"\n'

t.test('on the Pi, Ubuntu 21.10 to 23.10 had vxlan in a package of its own', async (t) => {
  const remedy = remedyFor('vxlan', UBUNTU, '5.15.0-1034-raspi')
  t.match(remedy, /^this kernel \(5\.15\.0-1034-raspi\) has no vxlan \(module vxlan, CONFIG_VXLAN\): /)
  t.match(remedy, '"apt install linux-modules-extra-raspi" and "modprobe vxlan"')
  for (const release of ['5.13.0-1008-raspi', '6.5.0-1017-raspi'])
    t.match(remedyFor('vxlan', UBUNTU, release), 'linux-modules-extra-raspi', release)
})

t.test('before and after it was in the package that each kernel has', async (t) => {
  for (const release of ['5.4.0-1100-raspi', '6.8.0-1013-raspi', '6.11.0-1004-raspi']) {
    const remedy = remedyFor('vxlan', UBUNTU, release)
    t.notMatch(remedy, 'linux-modules-extra-raspi', release)
    t.match(remedy, `linux-modules-${release},`)
  }
})

t.test('the kernel says more than the os-release of a container', async (t) => {
  for (const osRelease of [ALPINE, DEBIAN, ''])
    t.equal(remedyFor('vxlan', osRelease, '5.15.0-1034-raspi'), remedyFor('vxlan', UBUNTU, '5.15.0-1034-raspi'))
  t.match(remedyFor('gre', ALPINE, '6.6.31+rpt-rpi-v8'), 'Raspberry Pi OS')
})

t.test('each distribution gets its own words', async (t) => {
  const expected: [string, string, RegExp][] = [
    [DEBIAN, '6.6.31+rpt-rpi-v8', /Raspberry Pi OS has .* reboot; else install its package again/],
    [RASPBIAN, '6.1.21-v7+', /Raspberry Pi OS has .* reboot; else install its package again/],
    [
      DEBIAN,
      '6.12.57+deb13-arm64',
      /Debian has .* reboot; else install its package, linux-image-6\.12\.57\+deb13-arm64,/,
    ],
    [ALPINE, '6.12.13-0-rpi', /Alpine has .* reboot; else install its package, linux-rpi,/],
    [
      UBUNTU,
      '6.8.0-45-generic',
      /"apt install linux-modules-6\.8\.0-45-generic linux-modules-extra-6\.8\.0-45-generic"/,
    ],
    [MINT, '6.8.0-45-generic', /"apt install linux-modules-6\.8\.0-45-generic/],
    [FEDORA, '6.11.4-301.fc41.aarch64', /package of your distribution that holds the module ipip .* CONFIG_NET_IPIP=m/],
    ['', '6.18.0', /package of your distribution/],
    ['garbage\n=\nID', '6.18.0', /package of your distribution/],
  ]
  for (const [osRelease, release, words] of expected) t.match(remedyFor('ipip', osRelease, release), words, release)
})

t.test('every kind is named with its module and option, and what to run', async (t) => {
  for (const kind of ENCAPSULATIONS)
    for (const [osRelease, release] of [
      [UBUNTU, '5.15.0-1034-raspi'],
      [DEBIAN, '6.12.57+deb13-arm64'],
      [ALPINE, '6.12.13-0-rpi'],
      [FEDORA, '6.11.4-301.fc41.aarch64'],
    ] as const) {
      const remedy = remedyFor(kind, osRelease, release)
      const module = kind === 'gre' ? 'ip_gre' : kind
      t.match(remedy, `has no ${kind} (module ${module}, CONFIG_`)
      t.match(remedy, `"modprobe ${module}"`)
    }
})
