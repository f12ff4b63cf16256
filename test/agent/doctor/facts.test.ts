import t from 'tap'
import { cni, parseConfig } from '../../../agent/doctor/facts/cni.ts'
import { dns } from '../../../agent/doctor/facts/dns.ts'
import { isClosed, parseChains, parseSaved } from '../../../agent/doctor/facts/firewall.ts'
import { lastWordsOf, runnerOf, wordsOf } from '../../../agent/doctor/facts/log.ts'
import { cgroups, clock, machine, power } from '../../../agent/doctor/facts/machine.ts'
import { keepers } from '../../../agent/doctor/facts/network.ts'
import { settings } from '../../../agent/doctor/facts/settings.ts'
import { storage } from '../../../agent/doctor/facts/storage.ts'
import { tree } from './tree.ts'

/** struct of <elf.h>: type, value */
function auxv(...pairs: readonly (readonly [number, number])[]): Buffer {
  return Buffer.concat(pairs.map((pair) => Buffer.from(new BigUint64Array(pair.map(BigInt)).buffer)))
}

t.test('machine: a Pi 5, with pages of 16 KiB', async (t) => {
  const places = tree(t, {
    '/proc/device-tree/model': 'Raspberry Pi 5 Model B Rev 1.0\0',
    '/proc/self/auxv': auxv([33, 7], [6, 16_384], [0, 0]),
    '/etc/os-release': 'ID=raspbian\n',
  })
  t.match(machine(places, '0.1.0'), {
    version: '0.1.0',
    model: 'Raspberry Pi 5 Model B Rev 1.0',
    pageBytes: 16_384,
    osRelease: 'ID=raspbian\n',
  })
  t.throws(() => machine(tree(t, { '/proc/self/auxv': auxv([0, 0]) }), ''), { message: /page/ })
})

t.test('machine: the kernel with small pages counts where it lies beside the file that names kernels', async (t) => {
  const auxv4 = { '/proc/self/auxv': auxv([6, 4096]) }
  const config = (files: readonly string[]) =>
    machine(tree(t, { ...auxv4, ...Object.fromEntries(files.map((file) => [file, ''])) }), '').smallPagesConfig
  t.equal(config(['/boot/firmware/config.txt', '/boot/firmware/kernel8.img']), '/boot/firmware/config.txt')
  t.equal(config(['/boot/config.txt', '/boot/kernel8.img']), '/boot/config.txt')
  t.equal(config(['/boot/firmware/config.txt', '/boot/firmware/vmlinuz']), undefined, 'Ubuntu')
  t.equal(config([]), undefined)
})

t.test('clock: with a clock on the board and without', async (t) => {
  t.equal(clock(tree(t, {})).hasRtc, false)
  t.equal(clock(tree(t, { '/sys/class/rtc/rtc0/name': 'rtc-pcf85063' })).hasRtc, true)
})

t.test('power: the firmware is asked by its file, wherever the board has it', async (t) => {
  const soc = '/sys/devices/platform/soc'
  t.same(await power(tree(t, { [`${soc}/soc:firmware/get_throttled`]: '50005\n' })), { throttled: 0x50005 })
  t.same(await power(tree(t, { [`${soc}@107c000000/soc@107c000000:firmware/get_throttled`]: '0\n' })), { throttled: 0 })
})

t.test('cgroups: version 2 and 1, with and without memory', async (t) => {
  const v2 = '/sys/fs/cgroup/cgroup.controllers'
  t.same(cgroups(tree(t, { [v2]: 'cpuset cpu io pids\n', '/boot/firmware/cmdline.txt': '' })), {
    version: 2,
    hasMemory: false,
    commandLineFile: '/boot/firmware/cmdline.txt',
  })
  t.match(cgroups(tree(t, { [v2]: 'cpu memory pids\n' })), { version: 2, hasMemory: true })
  const v1 = (enabled: number) => `#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t9\t80\t${enabled}\n`
  t.match(cgroups(tree(t, { '/proc/cgroups': v1(0), '/boot/cmdline.txt': '' })), {
    version: 1,
    hasMemory: false,
    commandLineFile: '/boot/cmdline.txt',
  })
  t.match(cgroups(tree(t, { '/proc/cgroups': v1(1) })), { version: 1, hasMemory: true })
  t.throws(() => cgroups(tree(t, {})), { message: /no cgroups/ })
})

t.test('storage: the card that / is on, swap, the journal by its settings', async (t) => {
  const mounts = (...lines: string[]) => lines.join('\n')
  const card = '25 1 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw'
  const files = {
    '/proc/self/mountinfo': mounts(card, '26 25 0:5 / /etcetera rw - tmpfs tmpfs rw'),
    '/proc/swaps': 'Filename\tType\tSize\tUsed\tPriority\n/var/swap file 102396 0 -2\n',
    '/var/log/journal/0123/system.journal': '',
  }
  t.match(storage(tree(t, files), undefined), {
    rootDevice: '/dev/mmcblk0p2',
    journal: 'persistent',
    swaps: ['/var/swap'],
    agentWrittenBytes: undefined,
  })
  const dropIn = { '/etc/systemd/journald.conf.d/a.conf': '[Journal]\nStorage=volatile\n' }
  t.equal(storage(tree(t, { ...files, ...dropIn }), undefined).journal, 'volatile', 'a drop-in wins')
  t.equal(
    storage(tree(t, { '/etc/systemd/journald.conf': '[Journal]\n#Storage=none\n' }), undefined).journal,
    'volatile',
  )
})

t.test('storage: what the agent has written, and of no other process', async (t) => {
  const places = tree(t, {
    '/proc/7/cmdline': '/opt/bramble/lib/node\0/opt/bramble/lib/bramble-agent.mjs\0',
    '/proc/7/io': 'rchar: 9\nwchar: 9\nwrite_bytes: 4096\ncancelled_write_bytes: 0\n',
    '/proc/7/status': 'VmRSS:\t   90 kB\nVmSwap:\t   12 kB\n',
    '/proc/8/cmdline': '/sbin/init\0',
    '/proc/8/io': 'write_bytes: 4096\n',
  })
  t.match(storage(places, 7), { agentWrittenBytes: 4096, agentSwappedBytes: 12_288 })
  t.equal(storage(places, 8).agentWrittenBytes, undefined)
  t.equal(storage(places, 9).agentWrittenBytes, undefined)
})

t.test('settings: rp_filter as it is in force, and no connection tracking', async (t) => {
  const conf = '/proc/sys/net/ipv4/conf'
  const places = tree(t, {
    [`${conf}/all/rp_filter`]: '1\n',
    [`${conf}/default/rp_filter`]: '0\n',
    [`${conf}/eth0/rp_filter`]: '0\n',
    [`${conf}/wlan0.7/rp_filter`]: '2\n',
    '/proc/sys/net/ipv4/ip_forward': '0\n',
  })
  t.same(settings(places), {
    forwarding: { 4: '0', 6: undefined },
    reversePathFilter: new Map([
      ['eth0', 1],
      ['wlan0.7', 2],
    ]),
    conntrack: undefined,
  })
  const netfilter = '/proc/sys/net/netfilter/nf_conntrack'
  t.match(settings(tree(t, { [`${netfilter}_count`]: '5\n', [`${netfilter}_max`]: '1024\n' })), {
    conntrack: { count: 5, max: 1024 },
  })
})

t.test('keepers: who was told to leave our links alone', async (t) => {
  const run = { '/run/NetworkManager/state': '', '/run/systemd/netif/state': '' }
  const untold = { networkManager: { runs: true, leavesOurs: false }, networkd: { runs: true, leavesOurs: false } }
  t.same(keepers(tree(t, { ...run, '/etc/NetworkManager/NetworkManager.conf': '[main]\n' })), untold)
  t.same(
    keepers(
      tree(t, {
        ...run,
        '/etc/NetworkManager/conf.d/bramble.conf': '[keyfile]\nunmanaged-devices=interface-name:brm*\n',
        '/run/systemd/networkd.conf.d/bramble.conf': '[Network]\nManageForeignRoutes=no\n',
      }),
    ),
    { networkManager: { runs: true, leavesOurs: true }, networkd: { runs: true, leavesOurs: true } },
  )
  const added = { '/etc/NetworkManager/conf.d/bramble.conf': '[keyfile]\nunmanaged-devices+=interface-name:brm*\n' }
  t.match(keepers(tree(t, { ...run, ...added })), { networkManager: { leavesOurs: true } }, 'as the doctor says it')
  t.match(keepers(tree(t, {})), { networkManager: { runs: false }, networkd: { runs: false } })
})

t.test('keepers: the files that the agent itself writes are understood', async (t) => {
  const { DROP_INS } = await import('../../../agent/install/drop-ins.ts')
  const files = Object.fromEntries(DROP_INS.map(({ path, content }) => [path, content]))
  t.match(keepers(tree(t, files)), { networkManager: { leavesOurs: true }, networkd: { leavesOurs: true } })
})

t.test('cni: files in the order of bytes, plugins that can be run, and what ours says of itself', async (t) => {
  const places = tree(t, {
    '/etc/cni/net.d/a.conflist':
      '{"name":"a","plugins":[{"type":"bridge","capabilities":{"portMappings":false}},{"type":"portmap","capabilities":{"portMappings":true}}]}',
    '/etc/cni/net.d/B.conf': '{"name":"b","type":"bramble"}',
    '/etc/cni/net.d/10.json': '',
    '/etc/cni/net.d/README': '',
    '/opt/cni/bin/bramble': '#!/bin/sh\necho "CNI plugin bramble 0.0.9, speaks CNI 1.1.0" >&2\n',
    '/opt/cni/bin/portmap': 'cut short',
  })
  t.same(await cni(places), {
    places: [
      {
        confDir: '/etc/cni/net.d',
        binDir: '/opt/cni/bin',
        configs: [
          { file: '10.json', error: 'it is empty', name: '', types: [], portMappers: [] },
          { file: 'B.conf', name: 'b', types: ['bramble'], portMappers: [] },
          { file: 'a.conflist', name: 'a', types: ['bridge', 'portmap'], portMappers: ['portmap'] },
        ],
        others: ['README'],
        programs: ['bramble'],
        pluginVersion: '0.0.9',
      },
    ],
    runtime: undefined,
    unseenRuntime: undefined,
  })
})

t.test("cni: k3s has folders of its own, and its containerd's file counts", async (t) => {
  const k3s = '/var/lib/rancher/k3s'
  const places = tree(t, {
    [`${k3s}/agent/etc/cni/net.d/10-bramble.conflist`]: '{"name":"bramble","plugins":[{"type":"bramble"}]}',
    [`${k3s}/data/current/bin/bramble`]: '#!/bin/false\n',
    [`${k3s}/agent/etc/containerd/config.toml`]:
      '# conf_dir = "/no"\n[plugins."io.containerd.cri.v1.runtime".cni]\n  bin_dirs = ["/a/bin"]\n  conf_dir = "/a/net.d"\n',
  })
  const { places: found, runtime } = await cni(places)
  t.same(
    found.map(({ confDir, binDir }) => [confDir, binDir]),
    [
      ['/etc/cni/net.d', '/opt/cni/bin'],
      [`${k3s}/agent/etc/cni/net.d`, `${k3s}/data/current/bin`],
    ],
  )
  t.equal(found[1]?.pluginVersion, undefined, 'a plugin that fails says nothing')
  t.match(runtime, { confDir: '/a/net.d', binDir: '/a/bin' })
})

t.test('parseConfig() tells what is no configuration', async (t) => {
  for (const [text, error] of [
    [undefined, 'it cannot be read'],
    [' \n', 'it is empty'],
    ['{"name":', 'it is no JSON'],
    ['null', 'it names no plugin'],
    ['{"name":"x"}', 'it names no plugin'],
    ['{"name":"x","plugins":[]}', 'it names no plugin'],
    ['{"name":"x","plugins":[{"type":7}]}', 'it names no plugin'],
  ] as const)
    t.equal(parseConfig('f', text).error, error, `${text}`)
})

t.test('dns: what DHCP gave, and what came of it', async (t) => {
  const places = tree(t, {
    '/etc/resolv.conf': 'nameserver 127.0.0.53\nsearch old\nsearch home.arpa lan\n',
    '/run/systemd/resolve/resolv.conf': '',
    '/run/systemd/netif/leases/2':
      'ADDRESS=192.168.1.7\nDOMAINNAME=home.arpa\nDOMAIN_SEARCH_LIST=home.arpa lab.example\n',
    '/run/systemd/netif/links/2': 'NETWORK_FILE=/run/systemd/network/10-netplan-eth0.network\n',
  })
  t.same(dns(places), {
    servers: ['127.0.0.53'],
    search: ['home.arpa', 'lan'],
    hasUpstreamFile: true,
    leasedDomains: ['home.arpa', 'lab.example'],
    networkFile: '/run/systemd/network/10-netplan-eth0.network',
  })
})

t.test('firewall: chains as nft and iptables-save print them', async (t) => {
  const listed =
    'table ip filter {\n\tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n\tchain DOCKER-USER {\n\t}\n}\n'
  t.same(parseChains(listed), [
    { table: 'ip filter', name: 'FORWARD', hook: 'forward', policy: 'drop' },
    { table: 'ip filter', name: 'DOCKER-USER' },
  ])
  const saved =
    '*filter\n:FORWARD DROP [0:0]\n:FLANNEL-FWD - [0:0]\n-A FORWARD -j FLANNEL-FWD\nCOMMIT\n*nat\n:OUTPUT ACCEPT [1:2]\n'
  t.same(parseSaved('ip6', saved), [
    { table: 'ip6 filter', name: 'FORWARD', hook: 'forward', policy: 'drop' },
    { table: 'ip6 filter', name: 'FLANNEL-FWD' },
    { table: 'ip6 nat', name: 'OUTPUT', hook: 'output', policy: 'accept' },
  ])
})

t.test('firewall: a last rule that takes everything', async (t) => {
  const chain = (...rules: string[]) =>
    [
      'table ip filter {',
      '\tchain FORWARD {',
      '\t\ttype filter hook forward priority filter; policy accept;',
      ...rules.map((rule) => `\t\t${rule}`),
      '\t}',
      '}',
    ].join('\n')
  for (const rule of [
    'drop',
    'reject',
    'counter packets 0 bytes 0 reject',
    'counter reject with icmp type host-prohibited',
    'drop comment "all else"',
  ])
    t.ok(isClosed(chain('ct state established accept', rule)), rule)
  for (const rules of [
    [],
    ['accept'],
    ['drop', 'accept'],
    ['ip saddr 10.0.0.1 drop'],
    ['jump drop'],
    ['iifname "x" reject'],
  ])
    t.notOk(isClosed(chain(...rules)), rules.join())
})

t.test('firewall: a name that is no word is passed over', async (t) => {
  t.same(
    parseChains('table ip x;y {\n\tchain a {\n\t\ttype filter hook forward priority 0; policy drop;\n\t}\n}\n'),
    [],
  )
})

t.test('wordsOf() keeps what was not said in passing', async (t) => {
  t.same(
    wordsOf([
      '{"level":30,"msg":"bramble-agent starts"}',
      '{"level":50,"msg":"control call failed","err":{"message":"EIO"}}',
      '',
      '{"level":40,"msg":"careful"}',
      'bramble-agent: --pod-cidr is missing',
      '{"level":',
    ]),
    ['careful', 'bramble-agent: --pod-cidr is missing', '{"level":'],
  )
})

t.test('the last words of an agent in a pod are in the newest log of its DaemonSet', async (t) => {
  const pods = '/var/log/pods'
  const line = (words: string) => `2026-11-21T10:00:00.0Z stderr F ${words}\n`
  const places = tree(t, {
    [`${pods}/kube-system_bramble-abcde_uid1/agent/3.log`]: line('bramble-agent: unknown option "x"'),
    [`${pods}/kube-system_coredns-abcde_uid2/coredns/9.log`]: line('something else'),
  })
  t.same(await lastWordsOf(places), {
    lastWords: ['bramble-agent: unknown option "x"'],
    runsAs: 'pod',
    logCommand: 'kubectl -n kube-system describe pod bramble-abcde',
  })
  t.same(runnerOf(places), { runsAs: 'pod', logCommand: 'kubectl -n kube-system logs bramble-abcde --tail=50' })
})

t.test(
  'where there is a unit its journal is named, and in a pod, which sees none, a command that finds the pod',
  async (t) => {
    const node = tree(t, { '/etc/systemd/system/bramble-agent.service': '' })
    t.same(runnerOf(node), { runsAs: 'unit', logCommand: 'journalctl -u bramble-agent -n 50 --no-pager' })
    t.match(await lastWordsOf(node), { runsAs: 'unit', logCommand: 'systemctl status bramble-agent' })
    const pod = {
      runsAs: 'pod',
      logCommand:
        /^kubectl -n kube-system logs --tail=50 \$\(kubectl .* --field-selector spec\.nodeName=\S+ -o name\)$/,
    }
    t.match(runnerOf(tree(t, {})), pod)
    t.match(await lastWordsOf(tree(t, {})), { ...pod, lastWords: [] })
  },
)
