import { rmSync } from 'node:fs'
import t from 'tap'
import { Agent } from '../agent.ts'
import { addUplink, setSysctl, sysctl } from '../node.ts'
import { capture, enterScratchNode, run } from '../scratch.ts'
import { answered, BRAMBLECTL, carryOut, diagnosed, doctor, fixed, found, putFile } from './doctor.ts'

/* Links, routes, settings and file systems of a node, each broken on purpose; then mended as the doctor says. */
await enterScratchNode()
await addUplink()
const agent = await Agent.start()
t.after(() => agent.stop())
// Else any network may be the one in use.
putFile('/etc/cni/net.d/10-bramble.conflist', '{"name":"bramble","plugins":[{"type":"bramble"}]}')

t.test('of a node without such trouble nothing of it is found, and all of it is looked at', async (t) => {
  const { good } = await diagnosed()
  for (const check of [
    'forwarding',
    'rp-filter',
    'cidr-overlap',
    'leftover-links',
    'link-keepers',
    'agent-problems',
    'kernel-feature',
    'leases-differ',
    'dns-search',
  ])
    t.ok(good.includes(check), check)
})

t.test("links that flannel, Calico and Cilium have left; an agent's own are none", async (t) => {
  await run('ip', 'link', 'add', 'flannel.1', 'type', 'vxlan', 'id', '1', 'dstport', '8472')
  await run('ip', 'address', 'add', '10.244.0.0/32', 'dev', 'flannel.1')
  await run('ip', 'link', 'set', 'flannel.1', 'up')
  await run('ip', 'route', 'add', '10.244.3.0/24', 'via', '10.244.3.0', 'dev', 'flannel.1', 'onlink')
  await run('ip', 'link', 'add', 'cni0', 'type', 'bridge')
  await run('ip', 'link', 'add', 'cali0123456789a', 'type', 'veth', 'peer', 'name', 'cilium_host')
  const findings = await found('leftover-links')
  t.match(findings, [
    { severity: 'error', what: 'flannel has left the link flannel.1, with routes to 10.244.3.0/24' },
    { severity: 'warning', what: /^Calico has left the link cali0123456789a/ },
    { severity: 'warning', what: /^Cilium has left the link cilium_host/ },
    { severity: 'warning', what: /cni0/ },
  ])
  // The two ends of one link go together: the second command finds nothing any more.
  const commands = findings.flatMap((finding) => finding.commands).filter((one) => !one.endsWith('cilium_host'))
  await carryOut(commands)
  t.same(await found('leftover-links'), [])
  await run('ip', 'link', 'add', 'cni0', 'type', 'bridge')
  await run('ip', 'link', 'add', 'port0', 'master', 'cni0', 'type', 'veth', 'peer', 'name', 'port1')
  t.same(await found('leftover-links'), [], 'a bridge that has ports serves somebody')
  await run('ip', 'link', 'delete', 'port0')
  await run('ip', 'link', 'delete', 'cni0')
})

t.test('a home LAN that is routed where pods have their addresses', async (t) => {
  await run('ip', 'route', 'add', '10.42.0.128/25', 'via', '192.0.2.254')
  await run('ip', 'route', 'add', 'fd42::/56', 'via', '2001:db8::254')
  t.match(await found('cidr-overlap'), [
    {
      severity: 'error',
      what: 'the pod CIDR 10.42.0.0/24 of this node overlaps 10.42.0.128/25, which is routed to uplink',
    },
    { severity: 'error', what: 'the pod CIDR fd42::/64 of this node overlaps fd42::/56, which is routed to uplink' },
  ])
  await run('ip', 'route', 'delete', '10.42.0.128/25')
  await run('ip', 'route', 'delete', 'fd42::/56')
  t.same(await found('cidr-overlap'), [])
})

t.test('forwarding that somebody sets back: --fix sets it, and says so', async (t) => {
  await setSysctl(undefined, 'ipv4/ip_forward', '0')
  t.match(await found('forwarding'), [
    { severity: 'error', what: 'net/ipv4/ip_forward is 0', commands: ['sysctl -w net/ipv4/ip_forward=1'] },
  ])
  t.same(await found('agent-problems'), [], 'the agent says so, too, and once is enough')
  t.equal(await sysctl(undefined, 'ipv4/ip_forward'), '0', 'without --fix nothing is changed')
  t.same(await fixed(), [{ command: 'sysctl -w net/ipv4/ip_forward=1' }])
  t.equal(await sysctl(undefined, 'ipv4/ip_forward'), '1')
  t.same(await found('forwarding'), [])
})

t.test(
  '--fix asks on a terminal first: no, nothing, a closed one and Ctrl-C change nothing, and it says so',
  async (t) => {
    await setSysctl(undefined, 'ipv4/ip_forward', '0')
    for (const answer of ['n\r', '\r', '\x04', '\x03']) {
      t.match(await answered(answer), /do that, until the next reboot\? \[y\/N\][^\n]*\nnothing was changed\r?\n/)
      t.equal(await sysctl(undefined, 'ipv4/ip_forward'), '0')
    }
    t.match(await answered('y\r'), 'done: sysctl -w net/ipv4/ip_forward=1')
    t.equal(await sysctl(undefined, 'ipv4/ip_forward'), '1')
  },
)

t.test('Ethernet and Wi-Fi in one network, with strict rp_filter', async (t) => {
  await run('ip', 'link', 'add', 'wlan0', 'type', 'veth', 'peer', 'name', 'wlan0-peer')
  await run('ip', 'address', 'add', '192.0.2.77/24', 'dev', 'wlan0')
  await setSysctl(undefined, 'ipv4/conf/all/rp_filter', '0')
  await setSysctl(undefined, 'ipv4/conf/uplink/rp_filter', '0')
  await setSysctl(undefined, 'ipv4/conf/wlan0/rp_filter', '1')
  t.match(await found('rp-filter'), [{ severity: 'warning', what: /^wlan0 has strict/ }])
  await setSysctl(undefined, 'ipv4/conf/all/rp_filter', '1')
  t.match(await found('rp-filter'), [{ what: /^uplink/ }, { what: /^wlan0/ }], 'that of all counts for each')
  t.match(await fixed(), [
    { command: 'sysctl -w net/ipv4/conf/uplink/rp_filter=2' },
    { command: 'sysctl -w net/ipv4/conf/wlan0/rp_filter=2' },
  ])
  t.same(await found('rp-filter'), [])
  t.equal(await sysctl(undefined, 'ipv4/conf/wlan0/rp_filter'), '2')
  await run('ip', 'link', 'delete', 'wlan0')
})

t.test('what cannot be mended is told, and the rest is', async (t) => {
  await setSysctl(undefined, 'ipv4/ip_forward', '0')
  putFile('/proc/sys/net/netfilter/nf_conntrack_count', '1000')
  putFile('/proc/sys/net/netfilter/nf_conntrack_max', '1000')
  putFile('/proc/sys/net/ipv4/ip_forward', '0')
  // Of a network namespace that is not the first one nobody may change how much is tracked (net/netfilter/nf_conntrack_standalone.c).
  t.match(await fixed(), [
    { command: 'sysctl -w net/ipv4/ip_forward=1' },
    { command: 'sysctl -w net/netfilter/nf_conntrack_max=131072', error: /EPERM|EACCES/ },
  ])
  t.match(await found('conntrack-full'), [{ what: /1000 of 1000 connections/ }])
  t.equal(await sysctl(undefined, 'ipv4/ip_forward'), '1')
  rmSync('/run/root/proc', { recursive: true })
})

t.test('NetworkManager and systemd-networkd that were not told of our links', async (t) => {
  await carryOut(['mkdir -p /run/NetworkManager /run/systemd/netif', 'touch /run/systemd/netif/state'])
  // What the machine itself tells them is not of this node.
  for (const folder of [
    '/etc/NetworkManager',
    '/etc/systemd',
    '/etc/udev/rules.d',
    '/usr/lib/udev/rules.d',
    '/usr/lib/systemd',
    '/usr/lib/NetworkManager',
  ])
    putFile(`${folder}/none`, '')
  t.match(await found('link-keepers'), [
    { severity: 'warning', what: /^NetworkManager/ },
    { what: /^systemd-networkd/ },
  ])
  await agent.stop()
  await carryOut(['mkdir -p /run/udev/rules.d /run/cni-bin'])
  const told = await Agent.start({ args: ['--cni-bin-dir', '/run/cni-bin'] })
  t.same(await found('link-keepers'), [], 'an agent that installs its plugin tells them')
  await told.stop()
})

t.test('a file system that logs have filled', async (t) => {
  await carryOut([
    'mkdir -p /run/root/var/log',
    'mount -t tmpfs -o size=300m tmpfs /run/root/var/log',
    'fallocate -l 299m /run/root/var/log/syslog',
  ])
  t.match(await found('no-space'), [{ severity: 'error', what: /\/var\/log is full: [01] MiB are free/ }])
  await carryOut(['rm /run/root/var/log/syslog', 'umount /run/root/var/log'])
  t.same(
    (await found('no-space')).filter(({ what }) => what.includes('/var/log')),
    [],
  )
})

t.test('for people: findings by weight, what was good, a count; the exit code tells', async (t) => {
  await run('ip', 'link', 'add', 'cni0', 'type', 'bridge')
  const { exitCode, stdout, stderr } = await doctor()
  t.equal(exitCode, 1)
  t.equal(stderr, '')
  t.match(stdout, /^error {4}the agent is away/)
  t.match(stdout, /\nwarning {2}a bridge network .*\n {9}\(leftover-links\) .*\nfix {6}ip link delete cni0\n/)
  t.match(stdout, /\ngood {5}/)
  t.match(stdout, /\n\d+ errors?, \d+ warnings?(, \d+ notes?)?\n$/)
})

t.test('whoever is not root is told what could not be looked at', async (t) => {
  const { exitCode, stdout, stderr } = await capture('setpriv', [
    ...['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath],
    ...[BRAMBLECTL, 'doctor', '-o', 'json'],
  ])
  t.equal(exitCode, 1)
  t.notMatch(stderr, 'must be root', 'by us, and not by a library')
  const { unknown } = JSON.parse(stdout)
  t.ok(
    unknown.some(({ check }: { check: string }) => check === 'kernel-feature'),
    stdout,
  )
})

t.end()
