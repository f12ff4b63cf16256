import t from 'tap'
import { probeEncapsulations } from '../../../agent/kernel/features.ts'
import { inNetns, openNetns } from '../../../agent/kernel/netns.ts'
import { hasChecksumOffload } from '../../../agent/kernel/offload.ts'
import { until } from '../agent.ts'
import { announce, type LabNode, makeLans, plugIn, startNode, withdraw } from '../cluster.ts'
import { enterScratchNode, run } from '../scratch.ts'
import { diagnosedOn, type Printed } from './doctor.ts'

/* Two nodes with a router between them, and what goes wrong on the way. */
const one: LabNode = { name: 'n1', number: 1, lan: 'a' }
const two: LabNode = { name: 'n2', number: 2, lan: 'b' }
/** Known to all, and switched off. */
const gone: LabNode = { name: 'n3', number: 3, lan: 'a' }

await enterScratchNode()
await makeLans()
for (const node of [one, two]) {
  await plugIn(node)
  announce(node)
}
const agents = await Promise.all([one, two].map((node) => startNode(node)))
t.after(() => Promise.all(agents.map((agent) => agent.stop())))
await until('n1 has its way to n2', async () => (await agents[0]?.ask('nodes'))?.[0]?.ways.includes('vxlan') === true)
await until('n2 has its way to n1', async () => (await agents[1]?.ask('nodes'))?.[0]?.ways.includes('vxlan') === true)

const PATHS = ['path-mtu', 'peer-silent', 'tunnel-silent', 'checksum-offload']

/** In n2. */
const nft = (commands: string) => run('ip', 'netns', 'exec', 'n2', 'nft', commands)

const of = ({ findings }: Printed, check: string) => findings.filter((finding) => finding.check === check)

t.test('where all gets there, it says so', async (t) => {
  const { good, findings } = await diagnosedOn('n1')
  for (const check of [...PATHS, 'tunnel-missing', 'agent-problems'])
    t.ok(good.includes(check), `${check} ${JSON.stringify(findings)}`)
})

t.test('a router that takes 1400 bytes', async (t) => {
  await run('ip', 'link', 'set', 'lan-b', 'mtu', '1400')
  t.match(of(await diagnosedOn('n1'), 'path-mtu'), [
    { severity: 'error', what: 'packets of 1500 bytes do not get to n2 (192.168.2.2, vxlan); 1400 do' },
  ])
  await run('ip', 'link', 'set', 'lan-b', 'mtu', '1500')
})

t.test('a card that fills in no checksums inside of VXLAN: what has none gets there, and nothing else', async (t) => {
  // What a wrong checksum comes to at the other end: the packet is dropped without a word.
  const drop = 'iifname "bramble.vxlan" udp checksum != 0 drop'
  await nft(
    `add table ip card; add chain ip card in { type filter hook prerouting priority raw; }; add rule ip card in ${drop}`,
  )
  t.match(of(await diagnosedOn('n1'), 'checksum-offload'), [
    {
      severity: 'error',
      what: /bramble\.vxlan get to n2 with wrong checksums/,
      commands: [/^ethtool -K bramble\.vxlan/],
    },
  ])
  t.ok(await hasOffload(), 'until now the card is to fill them in')
  t.match(await diagnosedOn('n1', '--fix', '--yes'), {
    fixed: [{ command: 'ethtool -K bramble.vxlan tx off', error: undefined }],
  })
  t.notOk(await hasOffload())
  await nft('delete table ip card')
})

t.test('a firewall that drops all UDP is no broken card', async (t) => {
  await nft(
    'add table ip card; add chain ip card in { type filter hook prerouting priority raw; }; add rule ip card in iifname "bramble.vxlan" meta l4proto udp drop',
  )
  t.same(of(await diagnosedOn('n1'), 'checksum-offload'), [])
  await nft('delete table ip card')
})

t.test('a firewall that lets no VXLAN in', async (t) => {
  await nft(
    'add table ip wall; add chain ip wall in { type filter hook input priority 0; }; add rule ip wall in udp dport 4789 drop',
  )
  const diagnosis = await diagnosedOn('n1')
  t.match(of(diagnosis, 'tunnel-silent'), [
    { severity: 'error', what: 'n2 answers, but its end of vxlan (10.42.2.0) does not' },
    { severity: 'error', what: 'n2 answers, but its end of vxlan (fd42:0:0:2::) does not' },
  ])
  t.same(of(diagnosis, 'checksum-offload'), [])
  await nft('delete table ip wall')
})

t.test('a node that has another address than the cluster says', async (t) => {
  announce(two, '192.168.2.77')
  await until(
    'n1 sends there',
    async () => (await agents[0]?.ask('nodes'))?.[0]?.addresses.includes('192.168.2.77') === true,
  )
  t.match(of(await diagnosedOn('n1'), 'peer-silent'), [{ severity: 'warning', what: /^n2 \(192\.168\.2\.77\)/ }])
  announce(two)
  await until(
    'n1 sends to n2',
    async () => (await agents[0]?.ask('nodes'))?.[0]?.addresses.includes('192.168.2.2') === true,
  )
})

t.test('a node that is switched off', async (t) => {
  announce(gone)
  await until('n1 knows of it', async () => (await agents[0]?.ask('nodes'))?.length === 2)
  t.match(of(await diagnosedOn('n1'), 'peer-silent'), [{ severity: 'warning', what: /^n3 \(192\.168\.1\.3\)/ }])
  withdraw(gone)
})

t.test('a tunnel that this kernel cannot make is named, with what to do about it', async (t) => {
  await agents[1]?.stop()
  const agent = await startNode(two, '--routing', 'wireguard')
  const isPossible = (await probeEncapsulations(['wireguard'])).get('wireguard') === 'possible'
  const problems = of(await diagnosedOn('n2'), 'agent-problems').map(({ what }) => what)
  const isNamed = problems.some((what) => what.includes('has no wireguard (module wireguard, CONFIG_WIREGUARD)'))
  t.equal(isNamed, !isPossible, problems.join())
  await agent.stop()
})

t.end()

/** Of the tunnel of n1, whose namespace it has to be asked in. */
async function hasOffload(): Promise<boolean> {
  const netns = openNetns('/run/netns/n1')
  try {
    return inNetns(netns, () => hasChecksumOffload('bramble.vxlan'))
  } finally {
    netns.close()
  }
}
