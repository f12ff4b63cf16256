import t from 'tap'
import { attribute, u8, u32 } from '../../../agent/kernel/attributes.ts'
import { addIpipLink, addSitLink, parseIpTunnel, sitGateway } from '../../../agent/kernel/ipip.ts'

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

t.test('a sit link is the same with IPv6 inside', async (t) => {
  const request = addSitLink({ name: 'a', local: '192.168.1.7', mtuBytes: 1480 })
  t.equal(request.name, 'link add a type sit local 192.168.1.7 remote any ttl inherit pmtudisc')
  t.equal(
    request.body.toString('hex'),
    `${HEAD}3000128007000100736974002400028008000200c0a80107050004000000000005000a00010000000500090029000000`, // IPPROTO_IPV6
  )
})

t.test('the gateway of a route over sit is the peer, in the low 32 bits', async (t) => {
  t.equal(sitGateway('192.168.1.2'), '::c0a8:102')
  t.equal(sitGateway('10.0.0.1'), '::a00:1')
})

t.test('parseIpTunnel() reads a link that is as ours are made', async (t) => {
  t.same(parseIpTunnel(info({}), 'ipip'), { local: '192.168.1.7' })
  t.same(parseIpTunnel(info({ protocol: 41 }), 'sit'), { local: '192.168.1.7' })
  t.same(
    parseIpTunnel(info({ local: Buffer.alloc(4) }), 'ipip'),
    { local: '0.0.0.0' },
    'one that takes what comes to any address',
  )
})

t.test('parseIpTunnel() refuses a link that is not', async (t) => {
  const others = {
    'leads to one peer': info({ remote: Buffer.from([192, 168, 1, 9]) }),
    'carries something else': info({ protocol: 0 }),
    'has a TTL of its own': info({ ttl: 64 }),
    'lets packets be cut': info({ pmtudisc: 0 }),
    'says nothing': Buffer.alloc(0),
  }
  for (const [what, bytes] of Object.entries(others)) t.equal(parseIpTunnel(bytes, 'ipip'), undefined, what)
  t.equal(parseIpTunnel(info({}), 'sit'), undefined, 'of the other kind')
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
