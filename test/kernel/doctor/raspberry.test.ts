import t from 'tap'
import { addUplink } from '../node.ts'
import { enterScratchNode } from '../scratch.ts'
import { diagnosed, putFile } from './doctor.ts'

/* What this machine cannot be: a Raspberry Pi with all that a Raspberry Pi can have, by the files that its kernel and its system have. */
await enterScratchNode()
await addUplink('wlan0')

const SOC = '/sys/devices/platform/soc@107c000000/soc@107c000000:firmware'

/** type, value: getauxval(3) */
const pages = (bytes: number) => Buffer.from(new BigUint64Array([6n, BigInt(bytes), 0n, 0n]).buffer).toString('latin1')

t.test('a Pi 5 that has every trouble: each is named', async (t) => {
  putFile('/proc/device-tree/model', 'Raspberry Pi 5 Model B Rev 1.0\0')
  putFile('/proc/self/auxv', pages(16_384))
  putFile('/proc/self/mountinfo', '25 1 179:2 / / rw shared:1 - ext4 /dev/mmcblk0p2 rw\n')
  putFile('/proc/swaps', 'Filename Type Size Used Priority\n/var/swap file 102396 0 -2\n')
  putFile('/proc/sys/net/netfilter/nf_conntrack_count', '8190\n')
  putFile('/proc/sys/net/netfilter/nf_conntrack_max', '8192\n')
  putFile(`${SOC}/get_throttled`, '50005\n')
  putFile('/sys/class/net/wlan0/wireless/status', '')
  putFile('/sys/class/rtc/none', '')
  putFile('/sys/fs/cgroup/cgroup.controllers', 'cpuset cpu io pids\n')
  putFile('/boot/firmware/cmdline.txt', 'console=tty1\n')
  putFile('/boot/firmware/config.txt', '')
  putFile('/boot/firmware/kernel8.img', '')
  putFile('/etc/systemd/journald.conf.d/persistent.conf', '[Journal]\nStorage=persistent\n')
  putFile('/etc/resolv.conf', 'nameserver 127.0.0.1\n')
  putFile('/run/systemd/netif/leases/2', 'DOMAIN_SEARCH_LIST=home.arpa\n')
  const { findings } = await diagnosed()
  for (const [check, what, command] of [
    [
      'page-size',
      /16 KiB \(Raspberry Pi 5 Model B Rev 1\.0\)/,
      "printf '\\n[all]\\nkernel=kernel8.img\\n' >> /boot/firmware/config.txt",
    ],
    ['under-voltage', /at this moment \(get_throttled 0x50005\)/, 'vcgencmd get_throttled'],
    [
      'memory-cgroup',
      /no memory per cgroup/,
      "sed -i '1s/$/ cgroup_enable=memory cgroup_memory=1/' /boot/firmware/cmdline.txt",
    ],
    ['conntrack-full', /8190 of 8192/, 'sysctl -w net/netfilter/nf_conntrack_max=131072'],
    ['wifi-uplink', /Wi-Fi \(wlan0\)/, 'iw dev wlan0 set power_save off'],
    ['sd-card-journal', /on the SD card/, 'systemctl restart systemd-journald'],
    ['sd-card-swap', /SD card: \/var\/swap/, 'swapoff /var/swap'],
    ['dns-loop', /names 127\.0\.0\.1 alone/, 'cat /etc/resolv.conf'],
    ['dns-search', /search domains home\.arpa/, 'networkctl reload'],
  ] as const) {
    const finding = findings.find((one) => one.check === check)
    t.match(finding?.what, what, check)
    t.ok(
      finding?.remedies.some((one) => one.command === command),
      `${check}: ${JSON.stringify(finding?.remedies)}`,
    )
  }
})

t.test('and a Pi 4 that has none', async (t) => {
  putFile('/proc/device-tree/model', 'Raspberry Pi 4 Model B Rev 1.5\0')
  putFile('/proc/self/auxv', pages(4096))
  putFile('/proc/swaps', 'Filename Type Size Used Priority\n/dev/zram0 partition 102396 0 100\n')
  putFile('/proc/sys/net/netfilter/nf_conntrack_max', '131072\n')
  putFile(`${SOC}/get_throttled`, '0\n')
  putFile('/sys/fs/cgroup/cgroup.controllers', 'cpuset cpu io memory pids\n')
  putFile('/etc/systemd/journald.conf.d/persistent.conf', '[Journal]\nStorage=volatile\n')
  putFile('/etc/resolv.conf', 'nameserver 192.168.1.1\nsearch home.arpa\n')
  const { good } = await diagnosed()
  for (const check of [
    'page-size',
    'under-voltage',
    'memory-cgroup',
    'cgroup-version',
    'conntrack-full',
    'sd-card-journal',
    'sd-card-swap',
    'dns-loop',
    'dns-search',
  ])
    t.ok(good.includes(check), check)
})
