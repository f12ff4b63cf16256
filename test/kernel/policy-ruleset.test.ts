import fc from 'fast-check'
import t from 'tap'
import { Nftables } from '../../agent/kernel/nftables.ts'
import { DesiredPolicy, desiredPolicy } from '../../agent/ruleset/desired.ts'
import { renderChange, renderTable } from '../../agent/ruleset/render.ts'
import { cluster } from '../agent/policy/clusters.ts'
import { history, momentsOf } from '../agent/policy/clusters-edits.ts'
import { flowOf, flowPick } from '../agent/policy/clusters-flows.ts'
import { inputOf, linkOf, packetOf } from '../agent/policy/clusters-input.ts'
import { SEED } from '../agent/policy/clusters-runs.ts'
import { siteOf, sitePick } from '../agent/policy/clusters-site.ts'
import { isForwarded, judge } from '../agent/policy/oracle.ts'
import { type Packet, trace } from '../agent/ruleset/tracer.ts'
import { Ruleset } from '../agent/ruleset/tracer-tables.ts'
import { isRoutable, PacketPath } from './policy-packets.ts'
import { enterScratchNode, run } from './scratch.ts'

await enterScratchNode()
const nft = Nftables.load()
t.after(() => nft.close())

/** What pods send that they may not, beside what policies are about. */
const TWISTS = ['none', 'none', 'none', 'none', 'mac', 'address', 'tunnel', 'gre', 'uplink'] as const

const NAMES = ['x', 'y', 'z'].flatMap((namespace) => ['a', 'b', 'c'].map((name) => `${namespace}/${name}`))
const LINKS = [...NAMES, 'x/stranger', undefined].map((pod) => linkOf({ pod }))
const path = await PacketPath.make(nft, LINKS)
t.after(() => path.close())

t.test('real packets fare in the kernel as in the tracer, and as the oracle says', async (t) => {
  const flows = fc.array(fc.record({ pick: flowPick, twist: fc.constantFrom(...TWISTS) }), {
    minLength: 40,
    maxLength: 40,
  })
  const samples = fc.sample(fc.record({ cluster, site: sitePick, flows }), { numRuns: 150, seed: SEED })
  const seen = { passed: 0, dropped: 0 }
  for (const { cluster, site: pick, flows } of samples) {
    const site = siteOf(cluster, pick)
    const text = renderTable(desiredPolicy(inputOf(cluster, site)))
    await nft.run(text)
    const ruleset = rulesetOf(text)
    const sent = flows.flatMap(({ pick, twist }) => {
      const flow = flowOf(cluster, site, pick)
      if (!flow || !isForwarded(cluster, site, flow) || ![flow.source, flow.destination].every(isRoutable)) return []
      const packet = twisted(packetOf(flow, site), twist)
      const { passes } = trace(ruleset, packet)
      const isLikeOracle = twist !== 'none' || judge(cluster, site, flow).passes === passes
      return [{ packet, passes, isLikeOracle }]
    })
    const went = await path.send(sent)
    for (const [index, { packet, passes, isLikeOracle }] of sent.entries()) {
      seen[went[index] ? 'passed' : 'dropped']++
      if (went[index] !== passes || !isLikeOracle)
        t.fail(`${JSON.stringify(packet)}: ${went[index] ? 'passed' : 'dropped'}`, { text, oracle: isLikeOracle })
    }
  }
  t.pass(JSON.stringify(seen))
  t.ok(seen.passed > 300 && seen.dropped > 300, 'both are common')
})

t.test('the kernel takes the changes of random edits, and has the table from scratch then', async (t) => {
  let changes = 0
  for (const one of fc.sample(history, { numRuns: 60, seed: SEED })) {
    const [first, ...later] = momentsOf(one)
    if (!first) continue
    const desired = new DesiredPolicy(first.input)
    desired.update(first.input)
    await nft.run(renderTable(desired.table))
    for (const { input, changed } of later) {
      const commands = renderChange(desired.update(input, changed).change)
      if (commands === '') continue
      changes++
      await nft.run(commands)
      t.same(await listed(), rulesetOf(renderTable(desiredPolicy(input))).contents)
    }
  }
  t.ok(changes > 100, `${changes} changes`)
})

async function listed(): Promise<readonly string[]> {
  return rulesetOf(await run('nft', '--numeric-protocol', 'list', 'table', 'inet', 'bramble-policy')).contents
}

function rulesetOf(text: string): Ruleset {
  const ruleset = new Ruleset()
  ruleset.apply(text)
  return ruleset
}

function twisted(packet: Packet, twist: (typeof TWISTS)[number]): Packet {
  switch (twist) {
    case 'none':
      return packet
    case 'mac':
      return { ...packet, etherSource: '02:66:66:66:66:66' }
    case 'address':
      return { ...packet, source: packet.source.includes(':') ? 'fd42::66' : '10.42.66.66' }
    case 'tunnel':
      return { ...packet, protocol: 'udp', destinationPort: 4789 }
    case 'gre':
      // It has no number that tells one connection from the next: from elsewhere it might be a reply to another one.
      if (packet.iifname === 'eth0') return packet
      return { ...packet, protocol: '47', destination: packet.source.includes(':') ? 'fd00::3' : '192.168.1.3' }
    case 'uplink':
      return { ...packet, iifname: 'eth0', iifgroup: 0 }
  }
}
