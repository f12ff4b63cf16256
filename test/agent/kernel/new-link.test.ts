import t from 'tap'
import { attribute, text, u8, u32 } from '../../../agent/kernel/attributes.ts'
import { newLink } from '../../../agent/kernel/new-link.ts'
import { addVethPair } from '../../../agent/kernel/veth.ts'
import { addVxlanLink, parseVxlan, parseVxlanNetwork } from '../../../agent/kernel/vxlan.ts'

/** struct ifinfomsg, all zero */
const INFO = '00'.repeat(16)

t.test('a new link is name, MTU, MAC and kind, and must not be there yet', async (t) => {
  const request = newLink({ kind: 'dummy', name: 'eth0', mtuBytes: 1450, mac: '02:1f:00:0a:ff:7e' })
  t.equal(request.name, 'link add eth0 type dummy')
  t.equal(request.type, 16) // RTM_NEWLINK
  t.equal(request.flags, 0x600) // NLM_F_CREATE | NLM_F_EXCL
  t.equal(
    request.body.toString('hex'),
    INFO +
      text(3, 'eth0').toString('hex') + // IFLA_IFNAME
      u32(4, 1450).toString('hex') + // IFLA_MTU
      '0a000100021f000aff7e0000' + // IFLA_ADDRESS
      '10001280' + // IFLA_LINKINFO, nested
      '0900010064756d6d79000000', // IFLA_INFO_KIND, without a closing NUL, as `ip` writes it
  )
})

t.test('a link without a MAC has no such attribute, and what is particular to its kind is nested', async (t) => {
  const request = newLink({ kind: 'xyz', name: 'a', mtuBytes: 1, words: 'id 7' }, u8(1, 7))
  t.equal(request.name, 'link add a type xyz id 7')
  t.equal(
    request.body.toString('hex'),
    `${INFO}0600030061000000${u32(4, 1).toString('hex')}180012800700010078797a000c000280${u8(1, 7).toString('hex')}`,
  )
})

t.test('addVethPair() puts the peer, with its namespace, into the message of the host end', async (t) => {
  const mac = '02:00:00:00:00:01'
  const request = addVethPair({
    name: 'brm0',
    mtuBytes: 1500,
    mac,
    group: 7,
    peer: { name: 'eth0', mac: '02:00:00:00:00:02', netnsFd: 33 },
  })
  t.equal(request.name, 'link add brm0 type veth peer name eth0')
  const queues = u32(31, 1).toString('hex') + u32(32, 1).toString('hex')
  const head = (name: string, lastOfMac: string, own: Buffer) =>
    `${INFO}${text(3, name).toString('hex')}${u32(4, 1500).toString('hex')}0a00010002000000000${lastOfMac}0000${own.toString('hex')}${queues}`
  const peer = head('eth0', '2', u32(28, 33))
  t.equal(
    request.body.toString('hex'),
    `${head('brm0', '1', u32(27, 7))}5c0012800800010076657468500002804c000100${peer}`,
  )
})

t.test('parseVxlan() reads what addVxlanLink() writes, over either family', async (t) => {
  for (const local of ['192.168.1.7', 'fd00::7']) {
    const request = addVxlanLink({ name: 'v', mac: '02:00:00:00:00:01', mtuBytes: 1450, vni: 4096, port: 8472, local })
    t.equal(request.name, `link add v type vxlan id 4096 local ${local} dstport 8472 nolearning`)
    // Behind struct ifinfomsg, the name, the MTU, the MAC, the nested LINKINFO's header, and the kind; past its own header.
    const data = request.body.subarray(16 + 8 + 8 + 12 + 4 + 12 + 4)
    t.same(parseVxlan(data), { vni: 4096, port: 8472, local })
    const others = {
      'leads to one peer': attribute(2, Buffer.from([192, 168, 1, 9])), // IFLA_VXLAN_GROUP
      'leaves by one link': u32(3, 2), // IFLA_VXLAN_LINK
      'has a TTL of its own': u8(5, 3), // IFLA_VXLAN_TTL
      learns: u8(7, 1), // IFLA_VXLAN_LEARNING
    }
    for (const [what, bytes] of Object.entries(others)) {
      t.equal(parseVxlan(Buffer.concat([data, bytes])), undefined, what)
      t.same(parseVxlanNetwork(Buffer.concat([data, bytes])), { vni: 4096, port: 8472 })
    }
  }
})
