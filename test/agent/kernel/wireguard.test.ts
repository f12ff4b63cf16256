import t from 'tap'
import { attribute, nested, text, u8, u32 } from '../../../agent/kernel/attributes.ts'
import { genericAttributes, genericRequest, getFamily, parseFamily } from '../../../agent/kernel/generic-netlink.ts'
import {
  addWireguardLink,
  getWireguard,
  parseWireguard,
  putWireguardPeer,
  removeWireguardPeer,
  setWireguard,
} from '../../../agent/kernel/wireguard.ts'

const TARGET = { family: 0x1c, linkIndex: 7 }
const INDEX = '0800010007000000' // WGDEVICE_A_IFINDEX
const KEY = Buffer.alloc(32, 0xab)
const KEY_HEX = KEY.toString('hex')

t.test('a wireguard link has a kind and nothing particular, and no MAC', async (t) => {
  const request = addWireguardLink({ name: 'a', mtuBytes: 1420 })
  t.equal(request.name, 'link add a type wireguard')
  t.equal(
    request.body.toString('hex'),
    `${'00'.repeat(16)}0600030061000000080004008c050000140012800d000100776972656775617264000000`,
  )
})

t.test('a family is asked for by name', async (t) => {
  const request = getFamily('wireguard')
  t.equal(request.type, 0x10) // GENL_ID_CTRL
  t.equal(request.body.toString('hex'), '03020000' + '0e000200776972656775617264000000')
  const answer = genericRequest('', { family: 0x10, command: 1, version: 2 }, attribute(1, Buffer.from([0x1c, 0])))
  t.equal(parseFamily(answer), 0x1c)
  t.equal(parseFamily(genericRequest('', { family: 0x10, command: 1, version: 2 })), undefined)
})

t.test('a message of a family is command, version, two zeros, attributes', async (t) => {
  const request = genericRequest('x', { family: 0x1c, command: 1, version: 2 }, u32(3, 4))
  t.same(request, { name: 'x', type: 0x1c, body: Buffer.from('010200000800030004000000', 'hex') })
  t.same([...genericAttributes(request)], [[3, Buffer.from([4, 0, 0, 0])]])
})

t.test('a device is asked for by index', async (t) => {
  const request = getWireguard(TARGET)
  t.equal(request.type, TARGET.family)
  t.equal(request.body.toString('hex'), `00010000${INDEX}`) // WG_CMD_GET_DEVICE, version 1
})

t.test('key and port are set together; the key is in no error', async (t) => {
  const request = setWireguard(TARGET, { privateKey: KEY.toString('base64'), listenPort: 51820 })
  t.equal(request.body.toString('hex'), `01010000${INDEX}060006006cca00002400${'0300'}${KEY_HEX}`)
  t.notMatch(request.name, KEY.toString('base64'))
  t.throws(() => setWireguard(TARGET, { privateKey: 'short', listenPort: 1 }), { name: 'RangeError' })
})

t.test('a peer is put with all it has, in the place of what it had', async (t) => {
  const request = putWireguardPeer(TARGET, {
    publicKey: KEY.toString('base64'),
    endpoint: { address: '192.168.1.2', port: 51820 },
    allowedIps: ['10.42.2.0/24', 'fd42:2::/64'],
    keepaliveSeconds: 25,
  })
  t.equal(request.name, `wg set 7 peer ${KEY.toString('base64')} allowed-ips 10.42.2.0/24,fd42:2::/64`)
  const ipv4 = '1c0000800600010002000000080002000a2a02000500030018000000'
  const ipv6 = `28000080060001000a00000014000200fd420002${'00'.repeat(12)}0500030040000000`
  t.equal(
    request.body.toString('hex'),
    `01010000${INDEX}` +
      '98000880' + // WGDEVICE_A_PEERS
      '94000080' +
      `24000100${KEY_HEX}` + // WGPEER_A_PUBLIC_KEY
      '0800030002000000' + // WGPEER_A_FLAGS: REPLACE_ALLOWEDIPS
      `140004000200ca6cc0a80102${'00'.repeat(8)}` + // WGPEER_A_ENDPOINT
      '0600050019000000' + // WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL
      `48000980${ipv4}${ipv6}`, // WGPEER_A_ALLOWEDIPS
  )
})

t.test('an endpoint may be of IPv6, or not known', async (t) => {
  const peer = { publicKey: KEY.toString('base64'), allowedIps: [], keepaliveSeconds: 0 }
  const endpoint = { address: 'fd00::2', port: 51820 }
  const sockaddr = `200004000a00ca6c00000000fd00${'00'.repeat(13)}0200000000`
  t.match(putWireguardPeer(TARGET, { ...peer, endpoint }).body.toString('hex'), sockaddr)
  t.equal(putWireguardPeer(TARGET, peer).body.length, 4 + 8 + 4 + 4 + 36 + 8 + 8 + 4)
})

t.test('a peer is removed by its key', async (t) => {
  const request = removeWireguardPeer(TARGET, KEY.toString('base64'))
  t.equal(request.body.toString('hex'), `01010000${INDEX}34000880300000802400${'0100'}${KEY_HEX}0800030001000000`)
})

t.test('parseWireguard() joins what came in several messages', async (t) => {
  const sockaddr = Buffer.from(`0200ca6cc0a80102${'00'.repeat(8)}`, 'hex')
  const sockaddr6 = Buffer.from(`0a00ca6c00000000fd00${'00'.repeat(13)}0200000000`, 'hex')
  const device = parseWireguard([
    message(
      u16(6, 51820),
      u32(7, 0),
      u32(1, 7),
      text(2, 'bramble.wg'),
      attribute(3, Buffer.alloc(32, 0x99)),
      attribute(4, KEY),
      nested(
        8,
        peer(1, attribute(6, time(0n, 0n)), u16(5, 0), u64(8, 0n), u64(7, 0n), u32(10, 1)),
        peer(
          2,
          ...[attribute(6, time(1_700_000_000n, 123_456_789n)), u16(5, 25), u64(8, 1n << 40n), u64(7, 17n)],
          ...[attribute(4, sockaddr), nested(9, allowedIp(2, 'c0a80000', 16))],
        ),
      ),
    ),
    message(
      nested(
        8,
        peer(2, nested(9, allowedIp(10, `fd42${'00'.repeat(14)}`, 64), allowedIp(2, '0a2a0200', 24))),
        peer(3, attribute(6, time(0n, 0n)), u16(5, 0), u64(8, 0n), u64(7, 0n), attribute(4, sockaddr6)),
      ),
    ),
  ])
  t.strictSame(device, {
    publicKey: KEY.toString('base64'),
    listenPort: 51820,
    firewallMark: 0,
    peers: [
      { publicKey: keyOf(1), allowedIps: [], keepaliveSeconds: 0, rxBytes: 0n, txBytes: 0n },
      {
        publicKey: keyOf(2),
        endpoint: { address: '192.168.1.2', port: 51820 },
        allowedIps: ['192.168.0.0/16', 'fd42::/64', '10.42.2.0/24'],
        keepaliveSeconds: 25,
        lastHandshakeMs: 1_700_000_000_123,
        rxBytes: 17n,
        txBytes: 1n << 40n,
      },
      {
        publicKey: keyOf(3),
        endpoint: { address: 'fd00::2', port: 51820 },
        allowedIps: [],
        keepaliveSeconds: 0,
        rxBytes: 0n,
        txBytes: 0n,
      },
    ],
  })
})

t.test('a device without a key or peers is read as such, and its private key never', async (t) => {
  t.strictSame(parseWireguard([message(u16(6, 0), u32(7, 5), u32(1, 7))]), {
    listenPort: 0,
    firewallMark: 5,
    peers: [],
  })
  t.strictSame(parseWireguard([]), { listenPort: 0, firewallMark: 0, peers: [] })
})

function message(...attributes: Buffer[]) {
  return genericRequest('', { family: TARGET.family, command: 0, version: 1 }, ...attributes)
}

/** As the kernel writes them: every element of a list is of type 0. */
function peer(number: number, ...attributes: Buffer[]): Buffer {
  return nested(0, attribute(1, Buffer.alloc(32, number)), ...attributes)
}

function keyOf(number: number): string {
  return Buffer.alloc(32, number).toString('base64')
}

function allowedIp(family: number, address: string, prefixLength: number): Buffer {
  return nested(0, u8(3, prefixLength), u16(1, family), attribute(2, Buffer.from(address, 'hex')))
}

function u16(type: number, value: number): Buffer {
  return attribute(type, Buffer.from([value & 0xff, value >> 8]))
}

function u64(type: number, value: bigint): Buffer {
  const payload = Buffer.alloc(8)
  payload.writeBigUInt64LE(value)
  return attribute(type, payload)
}

function time(seconds: bigint, nanoseconds: bigint): Buffer {
  const payload = Buffer.alloc(16)
  payload.writeBigInt64LE(seconds, 0)
  payload.writeBigInt64LE(nanoseconds, 8)
  return payload
}
