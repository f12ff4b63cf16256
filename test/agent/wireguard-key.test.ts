import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import {
  isWireguardKey,
  loadPrivateKey,
  makePrivateKey,
  publicKeyOf,
  WireguardKeyError,
} from '../../agent/wireguard-key.ts'

const folder = t.testdir()
let files = 0
const newPath = () => `${folder}/key${files++}`

/** A file with these contents. */
function file(contents: string, mode = 0o600): string {
  const path = newPath()
  writeFileSync(path, contents)
  chmodSync(path, mode)
  return path
}

const refuses = (t: Test, path: string, words: RegExp) => {
  t.throws(() => loadPrivateKey(path), WireguardKeyError)
  t.throws(() => loadPrivateKey(path), { code: 'WIREGUARD_KEY', message: words })
}
t.test('publicKeyOf() is X25519: the keys of Alice and Bob in RFC 7748, section 6.1', async (t) => {
  const base64 = (hex: string) => Buffer.from(hex, 'hex').toString('base64')
  for (const [privateKey, publicKey] of [
    [
      '77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a',
      '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a',
    ],
    [
      '5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb',
      'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f',
    ],
  ] as const)
    t.equal(publicKeyOf(base64(privateKey)), base64(publicKey))
})

t.test('a new key is one for wg too, which tells the same public key', async (t) => {
  const key = makePrivateKey()
  const { stdout, status } = spawnSync('wg', ['pubkey'], { input: key, encoding: 'utf8' })
  t.equal(status, 0)
  t.equal(stdout.trim(), publicKeyOf(key))
  const [first = 0] = Buffer.from(key, 'base64')
  const last = Buffer.from(key, 'base64')[31] ?? 0
  t.equal(first & 7, 0, 'clamped below')
  t.equal(last >> 6, 1, 'clamped above')
  t.not(makePrivateKey(), key)
})

t.test('isWireguardKey() knows a key from other text', async (t) => {
  t.ok(isWireguardKey(makePrivateKey()))
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (b) =>
      isWireguardKey(Buffer.from(b).toString('base64')),
    ),
  )
  const key = Buffer.alloc(32, 0xff).toString('base64')
  for (const text of [
    '',
    'key',
    key.slice(1),
    `${key}=`,
    `${key}\n`,
    key.replaceAll('/', '_'),
    `${key.slice(0, -2)}9=`,
  ])
    t.notOk(isWireguardKey(text), JSON.stringify(text))
})

t.test('the key is made once, is for its owner alone, and stays', async (t) => {
  const path = newPath()
  const key = loadPrivateKey(path)
  t.ok(isWireguardKey(key))
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.equal(readFileSync(path, 'utf8'), `${key}\n`)
  t.equal(loadPrivateKey(path), key)
  t.notOk(readdirSync(folder).some((name) => name.endsWith('.new')))
})

t.test('a key that wg genkey wrote is taken, as is one behind a symbolic link', async (t) => {
  const { stdout } = spawnSync('wg', ['genkey'], { encoding: 'utf8' })
  const path = file(stdout)
  t.equal(loadPrivateKey(path), stdout.trim())
  const link = newPath()
  symlinkSync(path, link)
  t.equal(loadPrivateKey(link), stdout.trim())
})

t.test('what a power cut in mid-write left behind is no key and in nobody’s way', async (t) => {
  const path = newPath()
  writeFileSync(`${path}.new`, 'half a k', { mode: 0o644 })
  t.ok(isWireguardKey(loadPrivateKey(path)))
  t.equal(statSync(path).mode & 0o777, 0o600)
})

t.test('a file that others may read is refused, with what to do', async (t) => {
  for (const mode of [0o644, 0o640, 0o604, 0o620, 0o601])
    refuses(
      t,
      file(makePrivateKey(), mode),
      new RegExp(`open to other users \\(mode ${mode.toString(8)}\\); run "chmod 600 `),
    )
  t.ok(loadPrivateKey(file(makePrivateKey(), 0o400)))
})

t.test('a file of another user is refused', async (t) => {
  const path = file(makePrivateKey())
  chownSync(path, 12345, 0)
  refuses(t, path, /belongs to user 12345; run "chown root /)
})

t.test('a file with something else in it is refused, and left as it is', async (t) => {
  for (const contents of [
    '',
    '\n',
    makePrivateKey().slice(0, 20),
    `${makePrivateKey()}${makePrivateKey()}`,
    'x'.repeat(100_000),
  ]) {
    const path = file(contents)
    refuses(t, path, /holds no key .* or delete it: the agent makes a new key/)
    t.equal(readFileSync(path, 'utf8'), contents)
  }
})

t.test('a path that is no file, or that nothing can be written to, is refused', async (t) => {
  const directory = newPath()
  mkdirSync(directory)
  refuses(t, directory, /is no regular file; name another with --wireguard-key-file/)
  const pipe = newPath()
  spawnSync('mkfifo', ['-m', '600', pipe])
  refuses(t, pipe, /is no regular file/)
  refuses(t, `${folder}/absent/key`, /Cannot write the WireGuard key file .*absent\/key \(ENOENT\); name another/)
  refuses(t, `${file('')}/key`, /Cannot read the WireGuard key file .* \(ENOTDIR\)/)
  refuses(t, '/proc/self/mem', /^Cannot read the WireGuard key file \/proc\/self\/mem \(EIO\); name another/)
})
