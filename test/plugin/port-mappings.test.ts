import fc from 'fast-check'
import t from 'tap'
import { isAddress } from '../../ipam/address.ts'
import { CNI_ERROR, CniError } from '../../plugin/errors.ts'
import { parsePortMappings } from '../../plugin/port-mappings.ts'

const WEB = { hostPort: 8080, containerPort: 80, protocol: 'tcp', hostIP: '' }
const PARSED = { hostPort: 8080, containerPort: 80, protocol: 'tcp', hostIp: '' }

function refusal(json: unknown): { code: number; message: string; details: string } {
  try {
    parsePortMappings(json)
  } catch (error) {
    if (error instanceof CniError) return { code: error.code, message: error.message, details: error.details }
    throw error
  }
  throw new Error('it is not refused')
}

t.test('mappings are read in any case, of keys and of protocols', async (t) => {
  t.strictSame(parsePortMappings([WEB]), [PARSED])
  const written = { HostPort: 8080, ContainerPort: 80, Protocol: 'TCP', HostIP: '' }
  t.strictSame(parsePortMappings([written]), [PARSED])
  t.strictSame(parsePortMappings([{ ...WEB, protocol: 'Sctp' }]), [{ ...PARSED, protocol: 'sctp' }])
})

t.test('no list, and no hostPort, ask for nothing', async (t) => {
  for (const nothing of [undefined, null, [], [{ ...WEB, hostPort: 0 }], [{ containerPort: 80 }]])
    t.strictSame(parsePortMappings(nothing), [])
})

t.test('a hostIP gets the one text that an address has', async (t) => {
  const hostIpOf = (hostIP: unknown) => parsePortMappings([{ ...WEB, hostIP }])[0]?.hostIp
  t.equal(hostIpOf('192.0.2.1'), '192.0.2.1')
  t.equal(hostIpOf('2001:DB8:0:0::1'), '2001:db8::1')
  t.equal(hostIpOf('0:0::0'), '::')
  for (const mapped of ['::ffff:192.0.2.1', '::FFFF:c000:201']) t.equal(hostIpOf(mapped), '192.0.2.1', 'as Go has it')
  t.equal(hostIpOf('::192.0.2.1'), '::c000:201')
  t.equal(hostIpOf(undefined), '')
  t.equal(hostIpOf(null), '')
})

t.test('what is wrong is told by its field, with the remedy', async (t) => {
  const code = CNI_ERROR.invalidConfig
  const field = 'runtimeConfig.portMappings[1]'
  for (const [wrong, message, details] of [
    [{ hostPort: 65_536 }, `${field}.hostPort is 65536`, /from 1 to 65535/],
    [{ hostPort: -1 }, `${field}.hostPort is -1`, /from 1 to 65535/],
    [{ hostPort: '8080' }, `${field}.hostPort is "8080"`, /whole number/],
    [{ containerPort: 0 }, `${field}.containerPort is 0`, /whole number/],
    [{ containerPort: undefined }, `${field}.containerPort is missing`, /whole number/],
    [{ containerPort: 1.5 }, `${field}.containerPort is 1.5`, /whole number/],
    [{ protocol: 'icmp' }, `${field}.protocol is "icmp"`, /tcp, udp, sctp/],
    [{ protocol: undefined }, `${field}.protocol is missing`, /tcp, udp, sctp/],
    [{ hostIP: 'localhost' }, `${field}.hostIP is "localhost"`, /an address of the node/],
    [{ hostIP: 'fe80::1%eth0' }, `${field}.hostIP is "fe80::1%eth0"`, /an address of the node/],
    [{ hostIP: { token: 's3cret' } }, `${field}.hostIP is an object`, /an address of the node/],
  ] as const)
    t.match(refusal([WEB, { ...WEB, hostPort: 81, ...wrong }]), { code, message, details })
  t.match(refusal({ 0: WEB }), { code, message: 'runtimeConfig.portMappings is an object' })
  t.match(refusal([7]), { code, message: 'runtimeConfig.portMappings[0] is 7' })
})

t.test('one port of the node leads to one port of the pod', async (t) => {
  for (const hostIP of ['', '0.0.0.0', '::'])
    t.match(refusal([WEB, { ...WEB, containerPort: 81, hostIP }]), {
      code: CNI_ERROR.invalidConfig,
      message: /^the pod asks for tcp port 8080.* twice$/,
      details: /another number/,
    })
  for (const other of [{ protocol: 'udp' }, { hostPort: 8081 }, { hostIP: '192.0.2.1' }])
    t.equal(parsePortMappings([WEB, { ...WEB, ...other }]).length, 2)
  t.equal(parsePortMappings(['0.0.0.0', '::'].map((hostIP) => ({ ...WEB, hostIP }))).length, 2)
})

t.test('as many as the record of a pod has room for', async (t) => {
  const many = (count: number) => Array.from({ length: count }, (_, index) => ({ ...WEB, hostPort: index + 1 }))
  t.equal(parsePortMappings(many(128)).length, 128)
  t.match(refusal(many(129)), { message: /asks for 129 ports/, details: /at most 128.*hostNetwork/ })
})

t.test('whatever a runtime gives is refused as a CniError, or read as ports that the kernel takes', async (t) => {
  const port = fc.oneof(
    { weight: 20, arbitrary: fc.integer({ min: 1, max: 65_535 }) },
    fc.integer({ min: -2, max: 70_000 }),
    fc.constant(null),
    fc.double(),
    fc.string(),
  )
  const mapping = fc.record(
    {
      hostPort: port,
      ContainerPort: port,
      protocol: fc.oneof({ weight: 5, arbitrary: fc.constantFrom('tcp', 'UDP', 'sctp') }, fc.string()),
      HostIP: fc.oneof(fc.constant(''), fc.ipV4(), fc.ipV6(), fc.string()),
    },
    { requiredKeys: [] },
  )
  const given = fc.oneof(fc.array(fc.oneof(mapping, fc.anything()), { maxLength: 5 }), fc.anything())
  let read = 0
  fc.assert(
    fc.property(fc.oneof(fc.array(mapping, { maxLength: 3 }), given), (json) => {
      try {
        for (const { protocol, hostIp, hostPort, containerPort } of parsePortMappings(json)) {
          read++
          const arePorts = [hostPort, containerPort].every((one) => Number.isInteger(one) && one > 0 && one < 65_536)
          if (!arePorts || !/^(tcp|udp|sctp)$/.test(protocol) || (hostIp !== '' && !isAddress(hostIp))) return false
        }
        return true
      } catch (error) {
        return error instanceof CniError && error.code === CNI_ERROR.invalidConfig && error.details !== ''
      }
    }),
    { numRuns: 2_000 },
  )
  t.ok(read > 20, `${read} ports were read`)
})
