import t from 'tap'
import { renderTable } from '../../../agent/desired/nftables-text.ts'
import { desiredNotrack, NOTRACK_TABLE } from '../../../agent/desired/notrack.ts'
import type { TunnelLink } from '../../../agent/desired/objects.ts'

const vxlan = (local: string): TunnelLink => ({
  kind: 'vxlan',
  name: 'bramble.vxlan',
  vni: 4096,
  port: 8472,
  local,
  mac: '66:00:00:00:00:01',
  mtuBytes: 1450,
})
const IPIP: TunnelLink = { kind: 'ipip', name: 'bramble.ipip', local: '192.168.1.1', mtuBytes: 1480 }

t.test('the whole table, as it is made in one transaction: this address, this port, and no others', async (t) => {
  const [table = { definition: '' }] = desiredNotrack([IPIP, vxlan('192.168.1.1')])
  t.equal(
    renderTable(NOTRACK_TABLE, table).replaceAll(/#[0-9a-f]{8}"/g, '#MARK"'),
    `add table inet bramble-notrack
delete table inet bramble-notrack
table inet bramble-notrack {
	chain prerouting {
		type filter hook prerouting priority raw; policy accept;
		udp dport 8472 ip daddr 192.168.1.1 notrack comment "VXLAN, from other nodes #MARK"
	}
	chain output {
		type filter hook output priority raw; policy accept;
		udp dport 8472 ip saddr 192.168.1.1 notrack comment "VXLAN, to other nodes #MARK"
	}
}`,
  )
})

t.test('over IPv6 the rules look at IPv6 headers', async (t) => {
  const [table] = desiredNotrack([vxlan('2001:db8:1::1')])
  t.match(table?.definition, 'udp dport 8472 ip6 daddr 2001:db8:1::1 notrack')
  t.match(table?.definition, 'udp dport 8472 ip6 saddr 2001:db8:1::1 notrack')
  t.notMatch(table?.definition, /\bip (saddr|daddr)/)
})

t.test('without VXLAN there is no table', async (t) => {
  t.same(desiredNotrack([]), [])
  t.same(desiredNotrack([IPIP]), [])
})
