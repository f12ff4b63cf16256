import t from 'tap'
import { attribute, u8, u32 } from '../../../agent/kernel/attributes.ts'
import { addGreLink, greNeighbour, parseGre } from '../../../agent/kernel/gre.ts'
import { addNeighbour } from '../../../agent/kernel/neighbours.ts'

t.test(
  'a gre link has a local address and no remote, the TTL of the packet inside, and finds the path MTU',
  async (t) => {
    const request = addGreLink({ name: 'a', local: '192.168.1.7', mtuBytes: 1476 })
    t.equal(request.name, 'link add a type gre local 192.168.1.7 remote any ttl inherit pmtudisc')
    t.equal(
      request.body.toString('hex'),
      `${'00'.repeat(16)}060003006100000008000400c4050000` + // IFLA_IFNAME, IFLA_MTU
        '28001280' + // IFLA_LINKINFO: 4 + 8 + 28
        '0700010067726500' + // IFLA_INFO_KIND gre
        '1c000280' + // IFLA_INFO_DATA
        '08000600c0a80107' + // IFLA_GRE_LOCAL
        '0500080000000000' + // IFLA_GRE_TTL 0
        '05000a0001000000', // IFLA_GRE_PMTUDISC 1
    )
  },
)

t.test('the link-layer address of a peer is its IPv4 address', async (t) => {
  t.same(greNeighbour('192.168.1.2'), { address: '::c0a8:102', mac: 'c0:a8:01:02' })
  const { body } = addNeighbour(7, greNeighbour('192.168.1.2'))
  t.equal(body.subarray(-8).toString('hex'), '08000200c0a80102') // NDA_LLADDR
})

t.test('parseGre() reads a link that is as ours are made, and refuses one that is not', async (t) => {
  t.same(parseGre(info({})), { local: '192.168.1.7' })
  const others = {
    'leads to one peer': info({ remote: Buffer.from([192, 168, 1, 9]) }),
    'has a key': info({ flags: 0x20 }), // GRE_KEY, in network order
    'has a TTL of its own': info({ ttl: 64 }),
    'lets packets be cut': info({ pmtudisc: 0 }),
    'says nothing': Buffer.alloc(0),
  }
  for (const [what, bytes] of Object.entries(others)) t.equal(parseGre(bytes), undefined, what)
})

/** As the kernel lists a link: with all that was not said. */
function info(fields: { remote?: Buffer; flags?: number; ttl?: number; pmtudisc?: number }): Buffer {
  const { remote = Buffer.alloc(4), flags = 0, ttl = 0, pmtudisc = 1 } = fields
  return Buffer.concat([
    u32(1, 0), // IFLA_GRE_LINK
    attribute(2, Buffer.from([flags, 0])), // IFLA_GRE_IFLAGS
    attribute(3, Buffer.from([flags, 0])), // IFLA_GRE_OFLAGS
    u32(4, 0), // IFLA_GRE_IKEY
    attribute(6, Buffer.from([192, 168, 1, 7])),
    attribute(7, remote),
    u8(8, ttl),
    u8(10, pmtudisc),
  ])
}
