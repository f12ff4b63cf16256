import t from 'tap'
import { nested, u32 } from '../../../agent/kernel/attributes.ts'
import { settle } from '../../../agent/kernel/link-conf.ts'

const [IFLA_AF_SPEC, AF_INET6, IFLA_INET6_CONF] = [26, 10, 2]
const INDEX = 7
const sysctl = (key: string, value: string) => ({ key, value })

/** What the kernel says of a link: forwarding is 1, accept_ra 1, proxy_ndp 0, disable_ipv6 0. */
function shown({ hasIpv6 }: { hasIpv6: boolean }) {
  const info = Buffer.alloc(16)
  info.writeInt32LE(INDEX, 4)
  const conf = Buffer.alloc(30 * 4)
  conf.writeInt32LE(1, 0)
  conf.writeInt32LE(1, 3 * 4)
  const ipv6 = nested(AF_INET6, u32(1, 0), Buffer.concat([header(IFLA_INET6_CONF, conf.length), conf]))
  return { type: 16, body: Buffer.concat([info, ...(hasIpv6 ? [nested(IFLA_AF_SPEC, ipv6)] : [])]) }
}

function header(type: number, payloadBytes: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt16LE(payloadBytes + 4, 0)
  bytes.writeUInt16LE(type, 2)
  return bytes
}

const WANTED = [
  sysctl('ipv4/conf/a.b/rp_filter', '1'),
  sysctl('ipv4/conf/a.b/forwarding', '1'),
  sysctl('ipv4/neigh/a.b/proxy_delay', '0'),
  sysctl('ipv6/conf/a.b/disable_ipv6', '0'),
  sysctl('ipv6/conf/a.b/accept_ra', '0'),
  sysctl('ipv6/conf/a.b/forwarding', '1'),
  sysctl('ipv6/conf/a.b/proxy_ndp', '1'),
]

t.test('settings of IPv4 are requests, and of IPv6 those are written that are others by default', (t) => {
  const { requests, sysctls } = settle(shown({ hasIpv6: true }), WANTED)
  t.same(
    requests.map(({ name }) => name),
    ['link set 7 ipv4 settings', 'ntable change name arp_cache dev 7 proxy_delay 0'],
  )
  t.same(sysctls, [sysctl('ipv6/conf/a.b/accept_ra', '0'), sysctl('ipv6/conf/a.b/proxy_ndp', '1')])
  t.end()
})

t.test('what the kernel does not tell is written', (t) => {
  const { sysctls } = settle(shown({ hasIpv6: false }), WANTED)
  t.equal(sysctls.length, 4)
  t.end()
})

t.test('a setting that is not known here is written, whatever its name', (t) => {
  const unknown = [sysctl('ipv6/conf/a/addr_gen_mode', '1'), sysctl('ipv6/conf/a/toString', '1')]
  t.same(settle(shown({ hasIpv6: true }), unknown), { requests: [], sysctls: unknown })
  t.end()
})
