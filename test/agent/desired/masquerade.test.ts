import fc from 'fast-check'
import t from 'tap'
import {
  desiredMasquerade,
  type MasqueradeSettings,
  outermost,
  renderMasquerade,
} from '../../../agent/desired/masquerade.ts'
import { outlineOf } from '../../../agent/desired/masquerade-outline.ts'
import { type Cidr, contains, formatAddress, overlaps, parseCidr } from '../../../ipam/address.ts'

const cidrs = (...texts: string[]) => texts.map(parseCidr)
const ON: MasqueradeSettings = { isOn: true, exempt: [] }
const OWN = cidrs('10.42.1.0/24', 'fd42:0:0:1::/64')
const OTHERS = cidrs('10.42.2.0/24', 'fd42:0:0:2::/64', '10.43.0.0/22')

function table(settings = ON, own = OWN, others = OTHERS, clusterCidrs: Cidr[] = []) {
  const [one] = desiredMasquerade(settings, own, others, clusterCidrs).tables
  if (!one) throw new Error('no table')
  return one
}

t.test('the whole table, as it is made in one transaction', async (t) => {
  t.equal(
    renderMasquerade(
      table({ isOn: true, exempt: cidrs('192.168.0.0/16', '192.168.7.0/24', '2001:db8::/32') }),
    ).replaceAll(/#[0-9a-f]{8}"/g, '#MARK"'),
    `add table inet bramble-masquerade
delete table inet bramble-masquerade
table inet bramble-masquerade {
	set pods4-22 {
		type ipv4_addr
	}
	set pods4-24 {
		type ipv4_addr
	}
	set pods6-64 {
		type ipv6_addr
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr 10.42.1.0/24 goto from-pods comment "pods of this node #MARK"
		ip6 saddr fd42:0:0:1::/64 goto from-pods comment "pods of this node #MARK"
	}
	chain from-pods {
		ip daddr & 255.255.252.0 @pods4-22 return comment "to pods #MARK"
		ip daddr & 255.255.255.0 @pods4-24 return comment "to pods #MARK"
		ip6 daddr & ffff:ffff:ffff:ffff:: @pods6-64 return comment "to pods #MARK"
		ip daddr { 169.254.0.0/16, 192.168.0.0/16, 224.0.0.0/4, 255.255.255.255/32 } return comment "as they are #MARK"
		ip6 daddr { 2001:db8::/32, fe80::/10, ff00::/8 } return comment "as they are #MARK"
		masquerade fully-random comment "to the outside #MARK"
	}
}
add element inet bramble-masquerade pods4-24 { 10.42.1.0, 10.42.2.0 }
add element inet bramble-masquerade pods6-64 { fd42:0:0:1::, fd42:0:0:2:: }
add element inet bramble-masquerade pods4-22 { 10.43.0.0 }`,
  )
})

t.test('a cluster CIDR is exempt: pods of a node that is not yet known are pods', async (t) => {
  const { definition } = table(ON, OWN, [], cidrs('10.42.0.0/16', 'fd42::/48'))
  t.match(definition, 'ip daddr { 10.42.0.0/16, 169.254.0.0/16,')
  t.match(definition, 'ip6 daddr { fd42::/48, fe80::/10,')
})

t.test('there is no table where masquerading is off, or this node has no pods', async (t) => {
  t.same(desiredMasquerade({ isOn: false, exempt: [] }, OWN, OTHERS), { tables: [], elements: [] })
  t.same(desiredMasquerade(ON, [], OTHERS), { tables: [], elements: [] })
})

t.test('nodes that come and go change elements; the table is another one only with a new prefix length', async (t) => {
  const outline = (...others: string[]) => outlineOf(table(ON, OWN, cidrs(...others)).definition)
  t.equal(outline('10.42.2.0/24'), outline('10.42.2.0/24', '10.42.3.0/24'))
  t.equal(outline(), outline('fd42:0:0:9::/64'))
  t.not(outline('10.42.2.0/24'), outline('10.42.2.0/25'))
})

t.test('two nodes that claim the same pods make one element in the transaction', async (t) => {
  t.match(renderMasquerade(table(ON, OWN, cidrs('10.42.2.0/24', '10.42.2.0/24'))), '{ 10.42.1.0, 10.42.2.0 }')
})

t.test('the order in which CIDRs are known changes nothing of the table', async (t) => {
  const one = table({ isOn: true, exempt: cidrs('192.168.0.0/16', '10.0.0.0/8') })
  const other = table(
    { isOn: true, exempt: cidrs('10.0.0.0/8', '192.168.0.0/16') },
    OWN.toReversed(),
    OTHERS.toReversed(),
  )
  t.equal(one.definition, other.definition)
})

t.test('every rule has a mark of its own, which is that of its text', async (t) => {
  const marks = (definition: string) => Array.from(definition.matchAll(/#([0-9a-f]{8})"/g), ([, mark]) => mark)
  const { definition } = table()
  t.equal(new Set(marks(definition)).size, 8)
  const other = marks(table(ON, cidrs('10.42.9.0/24', 'fd42:0:0:1::/64')).definition)
  t.equal(marks(definition).filter((mark) => !other.includes(mark)).length, 1)
})

t.test(
  'an outline is the same for what versions of nft print differently, and not for what somebody changed',
  async (t) => {
    const { definition } = table()
    const listed = definition
      .replaceAll('255.255.255.0 @', '255.255.255.0 == @')
      .replaceAll('type ipv4_addr', 'type ipv4_addr\n\t\tsize 65535\t# count 2')
      .replaceAll('\t}\n', '\t}\n\n')
    t.equal(outlineOf(`${listed}\n`), outlineOf(definition))
    const changes: Record<string, (text: string) => string> = {
      'a rule is gone': (text) => text.replace(/\n.*masquerade fully-random.*/, ''),
      'a rule came': (text) => text.replace('accept;\n', 'accept;\n\t\tip daddr 192.0.2.7 accept\n'),
      'a rule was replaced': (text) => text.replace(/masquerade fully-random.*/, 'masquerade'),
      'rules changed places': (text) => text.replace(/(\t\tip daddr &.*\n)(\t\tip daddr &.*\n)/, '$2$1'),
      'it was put to sleep': (text) => text.replace('{\n', '{\n\tflags dormant\n'),
      'its policy is another': (text) => text.replace('policy accept', 'policy drop'),
      'a chain came': (text) => text.replace(/\}$/, '\tchain other {\n\t}\n}'),
      'a set is of another type': (text) => text.replace('type ipv6_addr', 'type ipv6_addr . inet_service'),
    }
    for (const [what, change] of Object.entries(changes)) {
      t.not(change(definition), definition, `the test itself: ${what}`)
      t.not(outlineOf(change(definition)), outlineOf(definition), what)
    }
    t.equal(outlineOf(''), '')
  },
)

/** From a small space, so that many overlap. */
const anyCidr = fc
  .tuple(fc.constantFrom(4 as const, 6 as const), fc.integer({ min: 0, max: 6 }), fc.nat(63))
  .map(([family, prefixLength, number]) => {
    const bits = BigInt((family === 4 ? 32 : 128) - prefixLength)
    const first = (BigInt(number & ((1 << prefixLength) - 1)) << bits) & ((1n << BigInt(family === 4 ? 32 : 128)) - 1n)
    return parseCidr(`${formatAddress(family, first)}/${prefixLength}`)
  })

t.test('outermost CIDRs hold the same addresses as all of them, and none overlaps another', async () => {
  fc.assert(
    fc.property(fc.array(anyCidr, { maxLength: 30 }), (all) => {
      const kept = outermost(all)
      const holds = (some: readonly Cidr[], { family, first }: Cidr) =>
        some.some((cidr) => contains(cidr, formatAddress(family, first)))
      return (
        all.every((cidr) => kept.some((outer) => overlaps(outer, cidr) && outer.prefixLength <= cidr.prefixLength)) &&
        kept.every((cidr) => all.includes(cidr) && holds(all, cidr)) &&
        kept.every((a, i) => kept.every((b, j) => i === j || !overlaps(a, b)))
      )
    }),
  )
})
