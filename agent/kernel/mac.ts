import { addressOf } from '../../ipam/address.ts'

/** `02:1f:…` -> six bytes, or four: what tunnels over IPv4 have for a MAC is an IPv4 address. @throws RangeError when the text is not a MAC address; callers pass constants and listings */
export function parseMac(text: string): Buffer {
  if (!/^[0-9a-f]{2}((:[0-9a-f]{2}){3}|(:[0-9a-f]{2}){5})$/i.test(text))
    throw new RangeError(`Cannot parse MAC address "${text}"`)
  return Buffer.from(text.replaceAll(':', ''), 'hex')
}

export function formatMac(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += `${text === '' ? '' : ':'}${byte < 16 ? '0' : ''}${byte.toString(16)}`
  return text
}

/** The link-local address that belongs to a MAC by EUI-64. RFC 4291, appendix A. */
export function linkLocalOf(mac: string): string {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = parseMac(mac)
  return addressOf(Buffer.from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f]))
}
