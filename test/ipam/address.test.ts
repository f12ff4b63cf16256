import { isIP } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import {
  ADDRESS_BITS,
  AddressError,
  addressBytes,
  addressOf,
  type Cidr,
  contains,
  type Family,
  familyOf,
  formatAddress,
  isAddress,
  numberOf,
  overlaps,
  parseAddress,
  parseCidr,
} from '../../ipam/address.ts'

const family = fc.constantFrom<Family>(4, 6)
/** Numbers with runs of zeros and ones, as real addresses have them: a group of 16 bits is often all of one kind. */
const group = fc.oneof(fc.constantFrom(0n, 0n, 0n, 1n, 0xffffn), fc.bigInt(0n, 0xffffn))
const number4 = fc.tuple(group, group).map(joined)
const number6 = fc.array(group, { minLength: 8, maxLength: 8 }).map(joined)
const address = fc.oneof(
  number4.map((number) => formatAddress(4, number)),
  number6.map((number) => formatAddress(6, number)),
)
const cidr = family.chain((family) =>
  fc.tuple(family === 4 ? number4 : number6, fc.nat(ADDRESS_BITS[family])).map(([number, prefixLength]) => {
    const hostBits = BigInt(ADDRESS_BITS[family] - prefixLength)
    return parseCidr(`${formatAddress(family, (number >> hostBits) << hostBits)}/${prefixLength}`)
  }),
)

function joined(groups: readonly bigint[]): bigint {
  return groups.reduce((number, group) => (number << 16n) | group, 0n)
}

/** The bits of an address as text, made by Node's own reading of addresses. */
function bits(address: string): string {
  const text =
    isIP(address) === 4
      ? address.split('.').map((byte) => Number(byte).toString(2).padStart(8, '0'))
      : expanded(address).map((group) => Number.parseInt(group, 16).toString(2).padStart(16, '0'))
  return text.join('')
}

function expanded(address: string): string[] {
  const [before = [], after = []] = address.split('::').map((half) => half.split(':').filter((group) => group !== ''))
  return [...before, ...Array(8 - before.length - after.length).fill('0'), ...after]
}

const networkBits = ({ text, prefixLength }: Cidr) => bits(text.slice(0, text.indexOf('/'))).slice(0, prefixLength)

t.test('formatAddress() writes IPv6 as RFC 5952 and the WHATWG URL do', async (t) => {
  fc.assert(
    fc.property(number6, (number) => {
      const text = formatAddress(6, number)
      return new URL(`http://[${text}]/`).hostname === `[${text}]`
    }),
    { numRuns: 2000 },
  )
  const examples: [bigint, string][] = [
    [0n, '::'],
    [1n, '::1'],
    [0xfd42n << 112n, 'fd42::'],
    [(0x2001_0db8n << 96n) | 1n, '2001:db8::1'],
    [joined([0x2001n, 0xdb8n, 0n, 1n, 1n, 1n, 1n, 1n]), '2001:db8:0:1:1:1:1:1'], // 4.2.2: one group is not shortened
    [joined([0x2001n, 0n, 0n, 1n, 0n, 0n, 0n, 1n]), '2001:0:0:1::1'], // 4.2.3: the longest run
    [joined([0x2001n, 0xdb8n, 0n, 0n, 1n, 0n, 0n, 1n]), '2001:db8::1:0:0:1'], // 4.2.3: the first of equal runs
    [joined([1n, 2n, 3n, 4n, 5n, 6n, 0n, 0n]), '1:2:3:4:5:6::'],
    [(1n << 128n) - 1n, 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ]
  for (const [number, text] of examples) t.equal(formatAddress(6, number), text)
})

t.test('formatAddress() writes IPv4 dotted', async (t) => {
  t.equal(formatAddress(4, 0n), '0.0.0.0')
  t.equal(formatAddress(4, 0x0a2a0007n), '10.42.0.7')
  t.equal(formatAddress(4, 0xffff_ffffn), '255.255.255.255')
})

t.test('numberOf() is the way back from formatAddress()', async () => {
  fc.assert(fc.property(number4, (number) => numberOf(formatAddress(4, number)) === number))
  fc.assert(fc.property(number6, (number) => numberOf(formatAddress(6, number)) === number))
})

t.test('addressBytes() gives network order, and addressOf() is the way back', async (t) => {
  fc.assert(
    fc.property(address, (text) => {
      const bytes = addressBytes(text)
      const asBits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, '0')).join('')
      return asBits === bits(text) && addressOf(bytes) === text
    }),
  )
  fc.assert(
    fc.property(
      fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 })),
      (bytes) => addressBytes(addressOf(bytes)).equals(bytes),
    ),
  )
  t.same([...addressBytes('10.42.0.7')], [10, 42, 0, 7])
  t.equal(addressBytes('fe80::ff:fe00:0').toString('hex'), 'fe80000000000000000000fffe000000')
})

t.test('isAddress() takes what formatAddress() writes', async () => {
  fc.assert(fc.property(address, isAddress))
})

t.test('isAddress() takes nothing else, and never throws', async (t) => {
  const almost = fc.array(fc.constantFrom('0', '1', 'f', '10', '255', '256', '.', ':', '::', ' ', '-', '/', '%'), {
    maxLength: 18,
  })
  fc.assert(
    fc.property(
      fc.oneof(
        almost.map((parts) => parts.join('')),
        fc.string(),
      ),
      (text) => {
        if (!isAddress(text)) return true
        const canonical = isIP(text) === 4 ? text : new URL(`http://[${text}]/`).hostname.slice(1, -1)
        return isIP(text) !== 0 && canonical === text
      },
    ),
    { numRuns: 5000 },
  )
  for (const text of [
    '',
    '.',
    ':',
    '::::',
    '12345::',
    '1:2:3:4:5:6:7:8:9',
    '10.42.0',
    '010.0.0.1',
    'FD42::1',
    'fd42:0::1',
    'fe80::1%eth0',
  ])
    t.notOk(isAddress(text), text)
})

t.test('parseCidr() gives family, canonical text, first number and prefix length', async (t) => {
  t.same(parseCidr('10.42.0.0/24'), { family: 4, text: '10.42.0.0/24', first: 0x0a2a0000n, prefixLength: 24 })
  t.same(parseCidr('FD42:0:0::/64'), { family: 6, text: 'fd42::/64', first: 0xfd42n << 112n, prefixLength: 64 })
  t.same(parseCidr('0.0.0.0/0'), { family: 4, text: '0.0.0.0/0', first: 0n, prefixLength: 0 })
  t.same(parseCidr('::1/128'), { family: 6, text: '::1/128', first: 1n, prefixLength: 128 })
})

t.test('parseCidr() takes its own text again', async () => {
  fc.assert(fc.property(cidr, (cidr) => JSON.stringify(parseCidr(cidr.text), print) === JSON.stringify(cidr, print)))
})

t.test('parseCidr() takes a single address exactly when Node does', async () => {
  const almost = fc
    .array(fc.constantFrom('0', '1', '00', 'f', 'FF', '10', '255', '256', '.', '.', ':', ':', '::', '1.2.3.4'), {
      maxLength: 16,
    })
    .map((parts) => parts.join(''))
  fc.assert(
    fc.property(fc.oneof(almost, address), (text) => {
      const length = text.includes(':') ? 128 : 32
      let isTaken = true
      try {
        parseCidr(`${text}/${length}`)
      } catch (error) {
        if (!(error instanceof AddressError)) throw error
        isTaken = false
      }
      return isTaken === (isIP(text) !== 0)
    }),
    { numRuns: 5000 },
  )
})

t.test('parseCidr() says how to write what it cannot parse', async (t) => {
  const message = (text: string) => {
    try {
      parseCidr(text)
    } catch (error) {
      if (error instanceof AddressError) return error.message
      throw error
    }
    return undefined
  }
  t.equal(message(''), 'Cannot parse CIDR "": write it like 10.42.0.0/24')
  t.equal(message('10.42.0.0'), 'Cannot parse CIDR "10.42.0.0": write it like 10.42.0.0/24')
  t.equal(message('fd42::'), 'Cannot parse CIDR "fd42::": write it like fd42::/64')
  t.equal(
    message('10.42.0/24'),
    'Cannot parse CIDR "10.42.0/24": "10.42.0" is no IPv4 address; write it like 10.42.0.0/24',
  )
  t.equal(message('fd42/24'), 'Cannot parse CIDR "fd42/24": "fd42" is no IPv4 address; write it like 10.42.0.0/24')
  t.equal(
    message('1::2::3/64'),
    'Cannot parse CIDR "1::2::3/64": "1::2::3" is no IPv6 address; write it like fd42::/64',
  )
  t.equal(
    message('10.42.0.0/33'),
    'Cannot parse CIDR "10.42.0.0/33": the length of an IPv4 prefix is at most 32; write it like 10.42.0.0/24',
  )
  t.equal(
    message('fd42::/129'),
    'Cannot parse CIDR "fd42::/129": the length of an IPv6 prefix is at most 128; write it like fd42::/64',
  )
  for (const length of ['', ' 24', '024', '-1', '+24', '24.0', '1e1', '0x18', '24/8', '9999'])
    t.match(message(`10.42.0.0/${length}`), /^Cannot parse CIDR /, length)
})

t.test(
  'parseAddress() gives the number of what Node takes for an address, and says how to write it otherwise',
  async (t) => {
    fc.assert(fc.property(address, (text) => parseAddress(text) === numberOf(text)))
    t.equal(parseAddress('::ffff:1.2.3.4'), 0xffff_0102_0304n)
    t.equal(parseAddress('FD42:0::7'), (0xfd42n << 112n) | 7n)
    const message = (written: string, family: Family, example: string) =>
      `Cannot parse address: "${written}" is no IPv${family} address; write it like ${example}`
    for (const text of ['', '10.42.0', '10.42.0.0/24', '010.0.0.1', ' 10.0.0.1', '256.1.1.1', 'localhost'])
      t.throws(() => parseAddress(text), { code: 'ADDRESS', message: message(text, 4, '10.42.0.7') })
    for (const text of [':', ':::', '1::2::3', 'fe80::1%eth0', '12345::', 'fd42::/64'])
      t.throws(() => parseAddress(text), { code: 'ADDRESS', message: message(text, 6, 'fd42::7') })
  },
)

t.test('parseCidr() refuses an address inside a network and names the network', async (t) => {
  t.throws(() => parseCidr('10.42.0.5/24'), {
    code: 'ADDRESS',
    message: 'Cannot use CIDR "10.42.0.5/24": it is an address inside 10.42.0.0/24; write 10.42.0.0/24',
  })
  t.throws(() => parseCidr('fd42::1/64'), {
    message: 'Cannot use CIDR "fd42::1/64": it is an address inside fd42::/64; write fd42::/64',
  })
})

t.test('contains() compares the bits of the prefix', async () => {
  const nearby = fc.tuple(cidr, address, fc.nat(130)).map(([cidr, random, flipped]) => {
    // The network's own first address with one bit flipped is where mistakes show.
    const bit = BigInt(flipped % ADDRESS_BITS[cidr.family])
    return {
      cidr,
      addresses: [random, formatAddress(cidr.family, cidr.first), formatAddress(cidr.family, cidr.first ^ (1n << bit))],
    }
  })
  fc.assert(
    fc.property(nearby, ({ cidr, addresses }) =>
      addresses.every(
        (address) =>
          contains(cidr, address) ===
          (familyOf(address) === cidr.family && bits(address).startsWith(networkBits(cidr))),
      ),
    ),
    { numRuns: 1000 },
  )
})

t.test('overlaps() is true when one prefix begins with the other', async (t) => {
  fc.assert(
    fc.property(cidr, cidr, fc.nat(128), (a, other, length) => {
      // A network around or inside `a`, besides one from anywhere.
      const prefixLength = length % (ADDRESS_BITS[a.family] + 1)
      const hostBits = BigInt(ADDRESS_BITS[a.family] - prefixLength)
      const related = parseCidr(`${formatAddress(a.family, (a.first >> hostBits) << hostBits)}/${prefixLength}`)
      return [related, other].every((b) => {
        const [short = '', long = ''] = [networkBits(a), networkBits(b)].sort((x, y) => x.length - y.length)
        return overlaps(a, b) === (a.family === b.family && long.startsWith(short)) && overlaps(b, a) === overlaps(a, b)
      })
    }),
    { numRuns: 1000 },
  )
  t.notOk(overlaps(parseCidr('0.0.0.0/0'), parseCidr('::/0')), 'families never overlap')
})

function print(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}
