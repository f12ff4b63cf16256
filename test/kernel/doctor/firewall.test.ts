import t from 'tap'
import { Agent } from '../agent.ts'
import { addUplink } from '../node.ts'
import { enterScratchNode, run } from '../scratch.ts'
import { carryOut, diagnosed, found, putFile } from './doctor.ts'

/* Rules of other programs, as those make them; the doctor's commands are carried out, and it looks again. */
await enterScratchNode()
await addUplink()
const agent = await Agent.start()
// Else any network may be the one in use.
putFile('/etc/cni/net.d/10-bramble.conflist', '{"name":"bramble","plugins":[{"type":"bramble"}]}')
t.after(() => agent.stop())

/** All tables of both kinds of iptables, and those of nftables that are not ours. */
async function clear(): Promise<void> {
  for (const program of ['iptables', 'ip6tables'])
    for (const table of ['filter', 'nat']) {
      if (table === 'filter') await run(`${program}-legacy`, '-P', 'FORWARD', 'ACCEPT')
      await run(`${program}-legacy`, '-t', table, '-F')
      await run(`${program}-legacy`, '-t', table, '-X')
    }
  for (const line of (await run('nft', 'list', 'tables')).split('\n'))
    if (/^table (?!.*bramble)/.test(line)) await run('nft', 'delete', ...line.split(' '))
}

t.test('on a node without other rules none stand in the way', async (t) => {
  const { findings, unknown } = await diagnosed()
  const checks = ['forward-drop', 'firewalld', 'iptables-mixed', 'leftover-rules']
  t.same(
    [...findings, ...unknown].filter(({ check }) => checks.includes(check)),
    [],
  )
})

t.test("Docker's FORWARD DROP: the commands let pods through, and nobody else", async (t) => {
  for (const program of ['iptables-nft', 'ip6tables-nft']) {
    await run(program, '-N', 'DOCKER-USER')
    await run(program, '-A', 'FORWARD', '-j', 'DOCKER-USER')
    await run(program, '-P', 'FORWARD', 'DROP')
  }
  const findings = await found('forward-drop')
  t.match(findings, [
    { severity: 'error', what: /FORWARD of ip filter drops .*Docker did that/ },
    { severity: 'error', what: /FORWARD of ip6 filter drops .*Docker did that/ },
  ])
  await carryOut(findings.flatMap(({ commands }) => commands))
  t.same(await found('forward-drop'), [])
  t.match(
    await run('iptables-nft', '-S', 'DOCKER-USER'),
    /-A DOCKER-USER -o brm\+ -j ACCEPT\n-A DOCKER-USER -i brm\+ -j ACCEPT/,
  )
  t.match(await run('iptables-nft', '-S', 'FORWARD'), '-P FORWARD DROP', 'for others it is as it was')
  await clear()
})

t.test('a last rule that rejects what is forwarded, as Red Hat and many guides have it', async (t) => {
  await run('iptables-nft', '-A', 'FORWARD', '-j', 'REJECT', '--reject-with', 'icmp-host-prohibited')
  const findings = await found('forward-drop')
  t.match(findings, [{ severity: 'error', what: /FORWARD of ip filter drops/ }])
  await carryOut(findings.flatMap(({ commands }) => commands))
  t.same(await found('forward-drop'), [])
  await clear()
})

t.test(
  'a ruleset of nftables that drops what is forwarded: the commands let pods through, before all else',
  async (t) => {
    const chain = '{ type filter hook forward priority 0; policy drop; }'
    await run('nft', `add table inet filter; add chain inet filter forward ${chain}`)
    await run('nft', 'add rule inet filter forward counter drop')
    const findings = await found('forward-drop')
    t.match(findings, [{ severity: 'error', what: /chain forward of inet filter/ }])
    await carryOut(findings.flatMap(({ commands }) => commands))
    t.same(await found('forward-drop'), [])
    t.match(
      await run('nft', 'list chain inet filter forward'),
      /policy drop;\n\t\toifname "brm\*" accept\n\t\tiifname "brm\*" accept\n\t\tcounter packets \d+ bytes \d+ drop\n/,
    )
    await run('nft', 'flush chain inet filter forward')
    t.match(await found('forward-drop'), [{ severity: 'error' }])
    await run('nft', 'add rule inet filter forward ip saddr 10.42.0.0/24 accept')
    t.same(await found('forward-drop'), [], 'a rule for the addresses of pods is as good')
    await clear()
  },
)

t.test('firewalld rejects what it does not know', async (t) => {
  await run(
    'nft',
    'add table inet firewalld; add chain inet firewalld filter_FORWARD { type filter hook forward priority 10; }',
  )
  const [finding] = await found('firewalld')
  t.match(finding?.what, /does not trust 10\.42\.0\.0\/24, fd42::\/64/)
  t.match(finding?.commands, ['firewall-cmd --permanent --zone=trusted --add-source=10.42.0.0/24'])
  await run('nft', 'add chain inet firewalld trusted')
  await run('nft', 'add rule inet firewalld filter_FORWARD ip saddr 10.42.0.0/24 goto trusted')
  await run('nft', 'add rule inet firewalld filter_FORWARD ip6 saddr fd42::/64 goto trusted')
  t.same(await found('firewalld'), [])
  await clear()
})

t.test('iptables-legacy mixed with nft, and a FORWARD DROP that only the older one shows', async (t) => {
  await run('iptables-nft', '-A', 'INPUT', '-j', 'ACCEPT')
  await run('iptables-legacy', '-t', 'nat', '-S')
  t.same(await found('iptables-mixed'), [], 'a table that somebody has looked at is no mixture')
  await run('iptables-legacy', '-P', 'FORWARD', 'DROP')
  t.match(await found('iptables-mixed'), [
    { severity: 'warning', what: 'iptables-legacy has ip filter, and iptables-nft has ip filter' },
  ])
  const dropped = await found('forward-drop')
  t.match(dropped, [{ what: /FORWARD of ip filter \(iptables-legacy\)/ }])
  await carryOut(dropped.flatMap(({ commands }) => commands))
  t.same(await found('forward-drop'), [])
  await run('iptables-legacy', '-P', 'FORWARD', 'ACCEPT')
  t.match(
    await found('iptables-mixed'),
    [{ what: 'iptables-legacy has ip filter, and iptables-nft has ip filter' }],
    'by its rules',
  )
  await clear()
})

t.test('rules that flannel, Calico and Cilium have left go, and all others stay', async (t) => {
  await run('iptables-nft', '-N', 'FLANNEL-FWD')
  await run('iptables-nft', '-A', 'FLANNEL-FWD', '-s', '10.244.0.0/16', '-j', 'ACCEPT')
  await run('iptables-nft', '-A', 'FORWARD', '-m', 'comment', '--comment', 'flanneld forward', '-j', 'FLANNEL-FWD')
  await run('iptables-nft', '-A', 'FORWARD', '-s', '192.0.2.7', '-j', 'ACCEPT')
  await run('iptables-legacy', '-t', 'nat', '-N', 'cali-POSTROUTING')
  await run('iptables-legacy', '-t', 'nat', '-A', 'POSTROUTING', '-j', 'cali-POSTROUTING')
  // felix/rules/static.go: what its chains have let through is accepted in FORWARD itself.
  await run('iptables-nft', '-N', 'cali-FORWARD')
  for (const rule of [
    ['-m', 'comment', '--comment', 'cali:wUHhoiAYhphO9Mso', '-j', 'cali-FORWARD'],
    [
      ...['-m', 'comment', '--comment', 'cali:S93hcgKJrXEqnTfs'],
      ...['-m', 'comment', '--comment', 'Policy explicitly accepted packet.'],
      ...['-m', 'mark', '--mark', '0x10000/0x10000', '-j', 'ACCEPT'],
    ],
    ['-m', 'comment', '--comment', 'cali:mp77cMpurHhyjLrM', '-j', 'MARK', '--set-xmark', '0x10000/0x10000'],
  ])
    await run('iptables-nft', '-A', 'FORWARD', ...rule)
  await run('ip6tables-nft', '-N', 'OLD_CILIUM_FORWARD')
  await run('nft', 'add table ip flannel-ipv4; add chain ip flannel-ipv4 postrtg')
  const findings = await found('leftover-rules')
  t.match(findings, [
    { severity: 'warning', what: /flannel has left rules: FLANNEL-FWD in ip filter, postrtg in ip flannel-ipv4/ },
    { what: /Calico has left rules: cali-FORWARD in ip filter, cali-POSTROUTING in ip nat/ },
    { what: /Cilium has left rules: OLD_CILIUM_FORWARD in ip6 filter/ },
  ])
  await carryOut(findings.flatMap(({ commands }) => commands))
  t.same(await found('leftover-rules'), [])
  t.equal(
    (await run('iptables-nft', '-S', 'FORWARD')).trim(),
    '-P FORWARD ACCEPT\n-A FORWARD -s 192.0.2.7/32 -j ACCEPT',
  )
  t.match(await run('nft', 'list', 'tables'), 'table inet bramble-policy')
  await clear()
})

t.test('the doctor leaves nothing: no rule, no link, no namespace', async (t) => {
  const node = async () => [
    (await run('nft', '-t', 'list', 'ruleset')).replace(/packets \d+ bytes \d+/g, ''),
    await run('ip', '-o', 'link', 'show'),
    await run('ip', 'route', 'show', 'table', 'all'),
    await run('ip', 'netns', 'list'),
  ]
  const before = await node()
  await diagnosed()
  t.same(await node(), before)
})

t.end()
