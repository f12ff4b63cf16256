import fc from 'fast-check'
import t from 'tap'
import { Nftables } from '../../agent/kernel/nftables.ts'
import { SEED } from '../agent/policy/clusters-runs.ts'
import { type Packet, trace } from '../agent/ruleset/tracer.ts'
import { Ruleset } from '../agent/ruleset/tracer-tables.ts'
import { PacketPath } from './policy-packets.ts'
import { enterScratchNode, run } from './scratch.ts'

await enterScratchNode()
const nft = Nftables.load()
const POD = 'brm000000000001'
const path = await PacketPath.make(nft, [POD])
t.after(async () => {
  path.close()
  await nft.close()
})

/** What our own table has not, or not in this order: chains that return, counters, what is behind a set. */
const SAMPLE = `add table inet bramble-sample
delete table inet bramble-sample
table inet bramble-sample {
  counter early { }
  counter old { }
  counter behind { }
  counter jumped { }
  counter returned { }
  counter gone { }
  counter others { }
  set hosts { type ipv4_addr; elements = { 10.42.1.2, 10.42.1.3 } }
  set nets4 { type ipv4_addr; flags interval; elements = { 10.42.2.4-10.42.2.5, 192.0.2.0/25, 0.0.0.0/5 } }
  set nets6 { type ipv6_addr; flags interval; elements = { fd42:0:0:2::/127, 2001:db8::/33 } }
  set ports { type ipv4_addr . inet_proto . inet_service; elements = { 10.42.2.2 . tcp . 80, 10.42.2.4 . udp . 53 } }
  map where { type ipv4_addr : verdict; elements = { 10.42.2.2 : jump one, 10.42.2.3 : goto two, 10.42.2.5 : drop } }
  chain one {
    iifname "brm*" tcp dport 80 counter name "jumped" return
    ip daddr . meta l4proto . th dport @ports accept
    ip saddr @hosts goto two
    counter name "returned"
  }
  chain two {
    meta l4proto { 6, 132 } th dport { 53, 80-8080 } counter name "gone" return
    sctp dport != 81 accept
    limit rate 1/second log prefix "sample " group 7 snaplen 64
  }
  chain early {
    type filter hook prerouting priority raw - 1; policy accept;
    iifname != "eth0" ip saddr 10.42.1.4 counter name "early" drop
    ip6 saddr { fd42:0:0:1::2, fd42:0:0:1::4/126 } udp dport 53 drop
  }
  chain forward {
    type filter hook forward priority filter - 5; policy drop;
    ct state established,related counter name "old" accept
    ip daddr vmap @where
    counter name "behind"
    ip saddr != @hosts ip daddr != @nets4 udp dport != 53 counter name "others" accept
    ip daddr @nets4 jump two
    ip6 daddr @nets6 tcp dport { 80, 8079-65535 } accept
    ip6 saddr != { fd42:0:0:1::3 } meta l4proto icmpv6 accept
  }
}`

t.test('whatever else rules can say, the tracer reads as the kernel does: verdicts, counters, replies', async (t) => {
  const addresses = [...Array(4).keys()].map((host) => host + 2)
  const sources4 = addresses.map((host) => `10.42.1.${host}`)
  const targets4 = [...addresses.map((host) => `10.42.2.${host}`), '192.0.2.127', '192.0.2.128', '8.0.0.1']
  const sources6 = addresses.map((host) => `fd42:0:0:1::${host}`)
  const targets6 = ['fd42:0:0:2::1', 'fd42:0:0:2::2', '2001:db8:7fff::1', '2001:db8:8000::1']
  const packet = fc
    .record({
      isIpv6: fc.boolean(),
      from: fc.nat(100),
      to: fc.nat(100),
      protocol: fc.constantFrom('tcp', 'udp', 'sctp', 'icmp'),
      destinationPort: fc.constantFrom(52, 53, 79, 80, 81, 8078, 8079, 8080, 8081),
      iifname: fc.constantFrom(POD, 'eth0'),
    })
    .map(({ isIpv6, from, to, protocol, destinationPort, iifname }): Packet => {
      const [sources, targets] = isIpv6 ? [sources6, targets6] : [sources4, targets4]
      const ends = { source: sources[from % sources.length] ?? '', destination: targets[to % targets.length] ?? '' }
      const port = protocol === 'icmp' ? {} : { destinationPort }
      return { ...ends, protocol, ...port, iifname, iifgroup: 0, etherSource: '02:42:00:00:00:01', ctState: 'new' }
    })
  const packets = fc.sample(packet, { numRuns: 1_500, seed: SEED })
  await nft.run(SAMPLE)
  const ruleset = new Ruleset()
  ruleset.apply(SAMPLE)
  const traces = packets.map((packet) => ({ packet, ...trace(ruleset, packet) }))
  const went = await path.send(traces)
  for (const [index, { packet, passes }] of traces.entries())
    if (went[index] !== passes) t.fail(JSON.stringify(packet), { passes })
  const counted = Object.entries(
    Object.groupBy(
      traces.flatMap(({ counted }) => counted),
      (name) => name,
    ),
  )
  t.same(Object.fromEntries(counted.map(([name, all]) => [name, all?.length])), await counters())

  const open = traces.filter(({ packet, passes }) => passes && packet.protocol === 'udp').slice(0, 20)
  const ways = open.map(({ packet }, index) => ({ ...packet, sourcePort: 40_000 + index, passes: true }))
  t.same(new Set(await path.send(ways.map((packet) => ({ packet, passes: true })))), new Set([true]))
  const replies = ways.map(({ source, destination, sourcePort, destinationPort = 0, ...rest }) => ({
    ...rest,
    source: destination,
    destination: source,
    sourcePort: destinationPort,
    destinationPort: sourcePort,
    iifname: 'eth0',
    ctState: 'established' as const,
  }))
  const back = replies.map((packet) => ({ packet, passes: trace(ruleset, packet).passes }))
  t.same(
    await path.send(back),
    back.map(({ passes }) => passes),
  )
  t.ok(back.length > 10 && back.every(({ passes }) => passes), `${back.length} replies`)
})

async function counters(): Promise<Record<string, number>> {
  const { nftables } = JSON.parse(await run('nft', '-j', 'list', 'counters', 'table', 'inet', 'bramble-sample'))
  return Object.fromEntries(
    nftables.flatMap(({ counter }: { counter?: { name: string; packets: number } }) =>
      counter && counter.packets > 0 ? [[counter.name, counter.packets]] : [],
    ),
  )
}
