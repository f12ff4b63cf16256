import { createPrivateKey, createPublicKey, randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'

/** The file with the node's private key cannot be used; the message says why and what to do. */
export class WireguardKeyError extends Error {
  override readonly name = 'WireguardKeyError'
  readonly code = 'WIREGUARD_KEY' as const
}

const KEY_BYTES = 32
/** PKCS #8 (RFC 8410) before the 32 bytes of an X25519 private key. */
const PKCS8_HEAD = Buffer.from('302e020100300506032b656e04220420', 'hex')
/** More than any key: a file that is longer is something else, and is not read whole. */
const FILE_BYTES_MAX = 1024

/** As `wg genkey` makes them. RFC 7748, section 5: some bits are the same in every key. */
export function makePrivateKey(): string {
  const key = randomBytes(KEY_BYTES)
  key[0] = (key[0] ?? 0) & 0xf8
  key[31] = ((key[31] ?? 0) & 0x7f) | 0x40
  return key.toString('base64')
}

/** As `wg pubkey` tells it. @param privateKey base64 */
export function publicKeyOf(privateKey: string): string {
  const der = Buffer.concat([PKCS8_HEAD, Buffer.from(privateKey, 'base64')])
  const { x } = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })).export({ format: 'jwk' })
  return Buffer.from(x ?? '', 'base64url').toString('base64')
}

/** Tells whether a text that comes from outside is a key as `wg` writes it: 32 bytes, 44 characters of base64. */
export function isWireguardKey(text: string): boolean {
  const bytes = Buffer.from(text, 'base64')
  return bytes.length === KEY_BYTES && bytes.toString('base64') === text
}

/**
 * The node's private key; made and written on the first call. A file of somebody else, or that somebody else may read,
 * is refused: whoever knows the key reads the traffic between nodes.
 * @returns base64
 * @throws WireguardKeyError
 */
export function loadPrivateKey(path: string): string {
  return readPrivateKey(path) ?? writePrivateKey(path, makePrivateKey())
}

/** @returns undefined when there is no such file */
function readPrivateKey(path: string): string | undefined {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK) // a pipe would wait for a writer
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw refusal(`Cannot read the WireGuard key file ${path}`, error)
  }
  try {
    const { mode, uid, size } = fstatSync(fd)
    if ((mode & constants.S_IFMT) !== constants.S_IFREG)
      throw new WireguardKeyError(
        `The WireGuard key file ${path} is no regular file; name another with --wireguard-key-file`,
      )
    if (uid !== process.geteuid?.())
      throw new WireguardKeyError(`The WireGuard key file ${path} belongs to user ${uid}; run "chown root ${path}"`)
    if (mode & 0o077)
      throw new WireguardKeyError(
        `The WireGuard key file ${path} is open to other users (mode ${(mode & 0o777).toString(8)}); ` +
          `run "chmod 600 ${path}", or, where one of them may have read it, delete it: the agent makes a new key`,
      )
    const text = size > FILE_BYTES_MAX ? '' : readText(fd, path).trim()
    if (!isWireguardKey(text))
      throw new WireguardKeyError(
        `The WireGuard key file ${path} holds no key (44 characters, as "wg genkey" writes them); ` +
          'put the right one there, or delete it: the agent makes a new key',
      )
    return text
  } finally {
    closeSync(fd)
  }
}

/** A card that dies lets files be opened, and not read. */
function readText(fd: number, path: string): string {
  try {
    return readFileSync(fd, 'latin1')
  } catch (error) {
    throw refusal(`Cannot read the WireGuard key file ${path}`, error)
  }
}

/** At one moment whole and in its place: a power cut leaves no half of a key. */
function writePrivateKey(path: string, key: string): string {
  const unfinished = `${path}.new`
  try {
    rmSync(unfinished, { force: true })
    const fd = openSync(unfinished, 'wx', 0o600)
    try {
      writeSync(fd, `${key}\n`)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(unfinished, path)
  } catch (error) {
    throw refusal(`Cannot write the WireGuard key file ${path}`, error)
  }
  return key
}

function refusal(what: string, cause: unknown): WireguardKeyError {
  const { code } = cause as NodeJS.ErrnoException
  return new WireguardKeyError(`${what} (${code}); name another with --wireguard-key-file`, { cause })
}
