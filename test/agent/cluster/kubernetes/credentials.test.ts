import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { ApiAccess } from '../../../../agent/cluster/kubernetes/access.ts'
import { CredentialFiles } from '../../../../agent/cluster/kubernetes/credentials.ts'
import { CertificateAuthority } from './certificates.ts'

const dir = mkdtempSync(join(tmpdir(), 'brmtest-credentials-'))
const ca = await CertificateAuthority.make()
const other = await CertificateAuthority.make()
t.teardown(() => {
  rmSync(dir, { recursive: true })
  ca.remove()
  other.remove()
})
const file = (name: string, text: string) => {
  writeFileSync(join(dir, name), text)
  return { file: join(dir, name) }
}
const MINUTE_MS = 60_000
const HTTPS = { server: 'https://10.0.0.1:6443', skipsTlsVerify: false }

t.test('a token file that changes is read again, at most once a minute', async (t) => {
  let nowMs = 0
  const access: ApiAccess = { server: 'http://127.0.0.1', skipsTlsVerify: false, token: file('token', 'first\n') }
  const credentials = new CredentialFiles(access, () => nowMs)
  t.equal(credentials.current().token, 'first')
  file('token', 'second')
  nowMs = MINUTE_MS - 1
  t.equal(credentials.current().token, 'first')
  nowMs = MINUTE_MS
  t.equal(credentials.current().token, 'second')
})

t.test('a file that is gone, empty or rubbish leaves what it said before in force', async (t) => {
  let nowMs = 0
  const token = file('token', 'good')
  const credentials = new CredentialFiles({ ...HTTPS, token, ca: file('ca', ca.cert) }, () => nowMs)
  const before = credentials.current()
  for (const spoil of [() => file('token', ''), () => file('ca', 'rubbish'), () => rmSync(join(dir, 'token'))]) {
    spoil()
    nowMs += MINUTE_MS
    t.equal(credentials.current().token, 'good')
    t.equal(credentials.current().secureContext, before.secureContext)
  }
  file('token', 'new')
  nowMs += MINUTE_MS
  t.equal(credentials.current().token, 'new', 'a CA that is still rubbish holds no token up')
})

t.test('another authority or client certificate makes another context; the same ones do not', async (t) => {
  let nowMs = 0
  const [one, two] = [await ca.issue(), await ca.issue()]
  const access = {
    ...HTTPS,
    ca: file('ca', ca.cert),
    clientCertificate: file('cert', one.cert),
    clientKey: file('key', one.key),
  }
  const credentials = new CredentialFiles(access, () => nowMs)
  const before = credentials.current().secureContext
  t.ok(before)
  nowMs += MINUTE_MS
  t.equal(credentials.current().secureContext, before)
  file('cert', two.cert) // the key has not been replaced yet
  nowMs += MINUTE_MS
  t.equal(credentials.current().secureContext, before)
  file('key', two.key)
  nowMs += MINUTE_MS
  t.not(credentials.current().secureContext, before)
})

t.test('at the start all must be there and fit; the error names the file', async (t) => {
  const [one, two] = [await ca.issue(), await ca.issue()]
  const cases: readonly [Partial<ApiAccess>, RegExp][] = [
    [{ token: { file: join(dir, 'none') } }, /none: the token cannot be read: ENOENT/],
    [
      { token: { file: '/var/run/secrets/kubernetes.io/serviceaccount/none' } },
      /ENOENT; does the pod have automountServiceAccountToken\?/,
    ],
    [{ token: file('empty', ' \n') }, /empty: the token is empty/],
    [{ token: file('binary', 'a b') }, /binary: the token has characters that no token has/],
    [{ ca: file('ca', 'rubbish') }, /ca: the certificate authority cannot be used/],
    [
      { clientCertificate: file('cert1', 'rubbish'), clientKey: file('key', one.key) },
      /cert1: the client certificate cannot/,
    ],
    [
      { clientCertificate: file('cert', one.cert), clientKey: file('key1', 'rubbish') },
      /key1: the client key cannot be used/,
    ],
    [
      { clientCertificate: file('cert', one.cert), clientKey: file('key2', two.key) },
      /key2: the client key with its certificate cannot be used: .*mismatch/,
    ],
    [{ ca: { text: '-----BEGIN CERTIFICATE-----\nrubbish' } }, /kubeconfig: the certificate authority cannot be used/],
  ]
  for (const [change, message] of cases)
    t.throws(() => new CredentialFiles({ ...HTTPS, ...change }), { code: 'KUBECONFIG', message })
})
