import t from 'tap'
import { attribute, u8, u32 } from '../../../agent/kernel/attributes.ts'
import { addIpipLink, parseIpip } from '../../../agent/kernel/ipip.ts'

/** struct ifinfomsg, IFLA_IFNAME "a", IFLA_MTU 1480 */
const HEAD = `${'00'.repeat(16)}060003006100000008000400c8050000`
const LOCAL = Buffer.from([192, 168, 1, 7])

t.test(
  'an ipip link has a local address and no remote, the TTL of the packet inside, and finds the path MTU',
  async (t) => {
    const request = addIpipLink({ name: 'a', local: '192.168.1.7', mtuBytes: 1480 })
    t.equal(request.name, 'link add a type ipip local 192.168.1.7 remote any ttl inherit pmtudisc')
    t.equal(
      request.body.toString('hex'),
      HEAD +
        '30001280' + // IFLA_LINKINFO: 4 + 8 + 36
        '0800010069706970' + // IFLA_INFO_KIND ipip
        '24000280' + // IFLA_INFO_DATA
        '08000200c0a80107' + // IFLA_IPTUN_LOCAL
        '0500040000000000' + // IFLA_IPTUN_TTL 0
        '05000a0001000000' + // IFLA_IPTUN_PMTUDISC 1
        '0500090004000000', // IFLA_IPTUN_PROTO IPPROTO_IPIP
    )
  },
)

t.test('parseIpip() reads a link that is as ours are made', async (t) => {
  t.same(parseIpip(info({})), { local: '192.168.1.7' })
  t.same(parseIpip(info({ local: Buffer.alloc(4) })), { local: '0.0.0.0' }, 'one that takes what comes to any address')
})

t.test('parseIpip() refuses a link that is not', async (t) => {
  const others = {
    'leads to one peer': info({ remote: Buffer.from([192, 168, 1, 9]) }),
    'carries IPv6': info({ protocol: 41 }),
    'carries all of IP and MPLS': info({ protocol: 0 }),
    'has a TTL of its own': info({ ttl: 64 }),
    'lets packets be cut': info({ pmtudisc: 0 }),
    'says nothing': Buffer.alloc(0),
  }
  for (const [what, bytes] of Object.entries(others)) t.equal(parseIpip(bytes), undefined, what)
})

/** As the kernel lists a link: with all that was not said. */
function info(fields: { local?: Buffer; remote?: Buffer; ttl?: number; protocol?: number; pmtudisc?: number }): Buffer {
  const { local = LOCAL, remote = Buffer.alloc(4), ttl = 0, protocol = 4, pmtudisc = 1 } = fields
  return Buffer.concat([
    u32(1, 0), // IFLA_IPTUN_LINK
    attribute(2, local),
    attribute(3, remote),
    u8(4, ttl),
    u8(5, 0), // IFLA_IPTUN_TOS
    u8(9, protocol),
    u8(10, pmtudisc),
  ])
}
