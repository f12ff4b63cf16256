import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { formatPortNames, parsePortNames } from '../../agent/port-names.ts'
import { familyOf, formatAddress, parseAddress } from '../../ipam/address.ts'
import { PROTOCOLS } from '../../ipam/host-port.ts'

const LINK = 'brm0123456789ab'
const port = fc.integer({ min: 1, max: 65_535 })
const hostPort = fc.record({
  protocol: fc.constantFrom(...PROTOCOLS),
  hostIp: fc.oneof(
    fc.constantFrom('', '0.0.0.0', '::'),
    fc.oneof(fc.ipV4(), fc.ipV6()).map((text) => formatAddress(familyOf(text), parseAddress(text))),
  ),
  hostPort: port,
  containerPort: port,
})

t.test('ports are read from names as they were written, and each name fits the kernel', async (t) => {
  fc.assert(
    fc.property(fc.array(hostPort), (ports) => {
      const names = formatPortNames(LINK, ports)
      const isRead = isDeepStrictEqual(
        parsePortNames(LINK, names),
        ports.map((port) => ({ ...port })),
      )
      return isRead && names.every((name) => name.length < 128 && /^[\w.-]+$/.test(name))
    }),
    { numRuns: 300 },
  )
  t.pass()
})

t.test('other names of a link are not ours', async (t) => {
  const others = [
    'enp1s0',
    `${LINK}`,
    `${LINK}_tcp_80`,
    `${LINK}_tcp_0_80`,
    `${LINK}_tcp_80_65536`,
    `${LINK}_tcp_080_80`,
    `${LINK}_icmp_80_80`,
    `${LINK}_tcp_80_80_x`,
    `${LINK}_tcp_80_80_1.2.3.4_5`,
    'brm000000000000_tcp_80_80',
  ]
  t.strictSame(parsePortNames(LINK, others), [])
})
