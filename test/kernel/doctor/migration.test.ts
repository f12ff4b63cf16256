import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ApiDouble } from '../../agent/cluster/kubernetes/api-double.ts'
import { kubeconfigText } from '../../agent/cluster/kubernetes/kubeconfig-text.ts'
import { Agent, until } from '../agent.ts'
import { createIpset, destroyIpset } from '../ipset.ts'
import { addUplink } from '../node.ts'
import { call } from '../plugin.ts'
import { enterScratchNode, makeNetns, run } from '../scratch.ts'
import { carryOut, diagnosed, found, putFile, ROOT } from './doctor.ts'

/*
 * docs/upgrade.md, "From flannel" and "From Calico", on one node and without the reboot: what the two have left, and what is
 * typed. Links, routes and rules are as their sources make them (flannel 0.28: pkg/backend/vxlan, pkg/trafficmngr/iptables; Calico:
 * felix/rules, felix/routetable); the pod is wired by the plugins to which flannel's hands on.
 */
t.setTimeout(300_000)
await enterScratchNode()
await addUplink()
const [BIN, CONF] = ['/opt/cni/bin', '/etc/cni/net.d']
const NODE = 'pi-1'
const MASQUERADE = ['-m', 'comment', '--comment', 'flanneld masq']
const FORWARD = ['-m', 'comment', '--comment', 'flanneld forward']
const api = await ApiDouble.start()
api.objects.put('/api/v1/nodes', {
  metadata: { name: NODE },
  spec: { podCIDRs: ['10.42.1.0/24'] },
  status: { addresses: [{ type: 'InternalIP', address: '192.0.2.1' }] },
})
writeFileSync('/run/kubeconfig', kubeconfigText({ server: api.url }))
let agent: Agent
const startAgent = () =>
  Agent.spawn({
    nodeName: NODE,
    podCidrs: [],
    args: [
      ...['--datastore=kubernetes', '--kubeconfig=/run/kubeconfig'],
      ...[`--cni-bin-dir=${ROOT}${BIN}`, `--cni-conf-dir=${ROOT}${CONF}`],
    ],
  })
const waitsFor = (words: string) =>
  until(`it says: ${words}`, () => agent.log.some((entry) => JSON.stringify(entry).includes(words)))

t.test('flannel: the agent waits while its links are there, and changes nothing', async (t) => {
  await makeFlannel()
  putFile(`${CONF}/10-flannel.conflist`, '{"name":"cbr0","plugins":[{"type":"flannel"},{"type":"portmap"}]}')
  agent = startAgent()
  await waitsFor('the pod CIDR 10.42.1.0/24 overlaps 10.42.1.0/24, the network on cni0; give other addresses')
  t.match(await found('agent-waits'), [{ severity: 'error', what: /10\.42\.1\.0\/24, the network on cni0/ }])
  t.strictSame(readdirSync(ROOT + CONF), ['10-flannel.conflist'])
  t.strictSame(await leftovers(), [], 'what is still in use is no leftover')
})

t.test(
  'flannel: no pod has it any more and its file is gone: the doctor names its links, and then its rules',
  async (t) => {
    await pod('DEL')
    rmSync(join(ROOT, CONF, '10-flannel.conflist'))
    const links = await commands('leftover-links')
    t.strictSame(links, ['ip link delete flannel.1', 'ip link delete cni0'])
    await carryOut(links)
    await agent.ready()
    await until('the network configuration is there', () => readdirSync(ROOT + CONF).includes('10-bramble.conflist'))
    t.match(await leftovers(), [
      { check: 'leftover-rules', what: /^flannel has left rules: .*FLANNEL-FWD.*FLANNEL-POSTRTG/ },
    ])
    await carryOut(await commands('leftover-rules'))
    t.strictSame(await leftovers(), [])
    t.notMatch(await rules(), /flannel/i)
    t.match(await rules(), /-A POSTROUTING -s 172\.30\.0\.0\/16 -j MASQUERADE/, 'of somebody else')
  },
)

t.test('Calico: links, routes into nothing, rules of both kinds, its files and sets are named, and go', async (t) => {
  await makeCalico()
  putFile(`${CONF}/10-calico.conflist`, '{"name":"k8s-pod-network","plugins":[{"type":"calico"},{"type":"portmap"}]}')
  putFile(`${CONF}/calico-kubeconfig`, 'token: secret')
  const left = await leftovers()
  t.match(left, [
    { check: 'leftover-links', what: /^Calico has left 2 links (cali|vxlan\.calico)/ },
    { check: 'leftover-routes', what: /10\.42\.9\.0\/26, fd42:0:0:9::\/122/ },
    { check: 'leftover-routing-rules', what: /: 1 \(priority 99\), 1 \(priority 99\)$/ },
    { check: 'leftover-files', what: /^Calico has left calico-kubeconfig in/ },
    { check: 'leftover-conflists', what: /10-calico\.conflist is of Calico/ },
    { check: 'leftover-rules', what: /^Calico has left rules: .*cali-/ },
    { check: 'leftover-sets', what: 'Calico has left the ipset cali40masq-ipam-pools' },
  ])
  const remedies = left.flatMap(({ remedies }) => remedies.map(({ command }) => command.replaceAll(CONF, ROOT + CONF)))
  t.match(remedies.pop(), /^ipset list -n \| grep /)
  await destroyIpset('cali40masq-ipam-pools') // by the kernel's own message: Debian's ipset is not installed everywhere
  await carryOut(remedies)
  t.strictSame(await leftovers(), [])
  t.notMatch(await rules(), /cali/)
  t.match(await run('ip', 'rule'), 'lookup 52', "a VPN's stays")
  for (const family of ['-4', '-6'])
    t.notMatch(await run('ip', family, 'route', 'show', 'table', 'all'), /proto (80|bird)|cali/)
})

t.teardown(async () => {
  await agent?.stop('SIGKILL')
  await api.close()
})

async function leftovers() {
  return (await diagnosed()).findings.filter(({ check }) => check.startsWith('leftover-'))
}

async function commands(check: string): Promise<string[]> {
  return (await found(check)).flatMap((finding) => finding.commands)
}

async function rules(): Promise<string> {
  return run('iptables-nft-save')
}

async function makeFlannel(): Promise<void> {
  const vxlan = ['type', 'vxlan', 'id', '1', 'dev', 'uplink', 'local', '192.0.2.1', 'dstport', '8472', 'nolearning']
  await run('ip', 'link', 'add', 'flannel.1', 'mtu', '1450', ...vxlan)
  await run('ip', 'address', 'add', '10.42.1.0/32', 'dev', 'flannel.1')
  await run('ip', 'link', 'set', 'flannel.1', 'up')
  await run('ip', 'route', 'add', '10.42.2.0/24', 'via', '10.42.2.0', 'dev', 'flannel.1', 'onlink')
  for (const [table, chain] of [
    ['filter', 'FLANNEL-FWD'],
    ['nat', 'FLANNEL-POSTRTG'],
  ] as const)
    await run('iptables-nft', '-t', table, '-N', chain)
  for (const rule of [
    ['filter', 'FORWARD', ...FORWARD, '-j', 'FLANNEL-FWD'],
    ['filter', 'FLANNEL-FWD', '-s', '10.42.0.0/16', ...FORWARD, '-j', 'ACCEPT'],
    ['filter', 'FLANNEL-FWD', '-d', '10.42.0.0/16', ...FORWARD, '-j', 'ACCEPT'],
    ['nat', 'POSTROUTING', ...MASQUERADE, '-j', 'FLANNEL-POSTRTG'],
    ['nat', 'FLANNEL-POSTRTG', '-m', 'mark', '--mark', '0x4000/0x4000', ...MASQUERADE, '-j', 'RETURN'],
    ['nat', 'FLANNEL-POSTRTG', '-s', '10.42.1.0/24', '-d', '10.42.0.0/16', ...MASQUERADE, '-j', 'RETURN'],
    ['nat', 'FLANNEL-POSTRTG', '-s', '10.42.0.0/16', '!', '-d', '224.0.0.0/4', ...MASQUERADE, '-j', 'MASQUERADE'],
    ['nat', 'POSTROUTING', '-s', '172.30.0.0/16', '-j', 'MASQUERADE'],
  ]) {
    const [table = '', ...rest] = rule
    await run('iptables-nft', '-t', table, '-A', ...rest)
  }
  await pod('ADD')
}

/** As flannel's plugin hands it on (cni-plugin, flannel_linux.go), with the files of addresses on tmpfs. */
async function pod(command: 'ADD' | 'DEL'): Promise<void> {
  mkdirSync('/run/flannel', { recursive: true })
  const netns = command === 'ADD' ? await makeNetns('old') : '/run/netns/old'
  const { exitCode, json } = await call(command, {
    containerId: 'old',
    netns,
    type: 'bridge',
    config: {
      cniVersion: '0.3.1',
      name: 'cbr0',
      bridge: 'cni0',
      hairpinMode: true,
      isGateway: true,
      isDefaultGateway: true,
      ipMasq: false,
      mtu: 1450,
      ipam: {
        type: 'host-local',
        dataDir: '/run/flannel/networks',
        ranges: [[{ subnet: '10.42.1.0/24' }]],
        routes: [{ dst: '10.42.0.0/16' }],
      },
    },
  })
  if (exitCode !== 0) throw new Error(`bridge ${command}: ${JSON.stringify(json)}`)
  if (command === 'DEL') await run('ip', 'netns', 'delete', 'old')
}

async function makeCalico(): Promise<void> {
  await run('ip', 'link', 'add', 'cali0123456789a', 'type', 'veth', 'peer', 'name', 'calipeer')
  await run('ip', 'link', 'set', 'cali0123456789a', 'up')
  await run('ip', 'route', 'add', '10.42.9.7/32', 'dev', 'cali0123456789a', 'proto', '80')
  const vxlan = ['type', 'vxlan', 'id', '4096', 'dev', 'uplink', 'local', '192.0.2.1', 'dstport', '4789', 'nolearning']
  await run('ip', 'link', 'add', 'vxlan.calico', ...vxlan)
  await run('ip', 'address', 'add', '10.42.9.0/32', 'dev', 'vxlan.calico')
  await run('ip', 'link', 'set', 'vxlan.calico', 'up')
  // Of each block of addresses that the node had, what no pod has goes nowhere.
  await run('ip', 'route', 'add', 'blackhole', '10.42.9.0/26', 'proto', '80')
  await run('ip', 'route', 'add', 'blackhole', 'fd42:0:0:9::/122', 'proto', '12')
  for (const family of ['-4', '-6'])
    await run('ip', family, 'rule', 'add', 'not', 'fwmark', '0x100000/0x100000', 'priority', '99', 'table', '1')
  await run('ip', 'rule', 'add', 'fwmark', '0x80000/0xff0000', 'priority', '5230', 'table', '52')
  await createIpset('cali40masq-ipam-pools')
  for (const [table, hook] of [
    ['filter', 'FORWARD'],
    ['filter', 'INPUT'],
    ['nat', 'POSTROUTING'],
    ['raw', 'PREROUTING'],
    ['mangle', 'PREROUTING'],
  ] as const) {
    await run('iptables-nft', '-t', table, '-N', `cali-${hook}`)
    const comment = ['-m', 'comment', '--comment', 'cali:wUHhoiAYhphO9Mso']
    await run('iptables-nft', '-t', table, '-A', hook, ...comment, '-j', `cali-${hook}`)
  }
}
