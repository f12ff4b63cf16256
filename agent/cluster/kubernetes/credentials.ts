import { createPrivateKey, X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'
import { readRegularFile } from '../../regular-file.ts'
import { type ApiAccess, KubeconfigError, type Material } from './access.ts'

/** Bound tokens and kubelet's certificates are replaced long before they end (a token at 80 % of an hour). */
const READ_EVERY_MS = 60_000

/** What goes with a request. */
export interface Credentials {
  readonly token: string | undefined
  /** The same object for as long as nothing of it changes; undefined for http. */
  readonly secureContext: SecureContext | undefined
}

/**
 * Tokens and certificates as they are now: files are read again at most once a minute. One that cannot be read or used
 * any more leaves what it said before in force; it may be half written.
 */
export class CredentialFiles {
  readonly #access: ApiAccess
  readonly #nowMs: () => number
  #current: Credentials
  /** What the current ones were made of. */
  #tls: TlsTexts
  #readAtMs: number

  /**
   * @param nowMs monotonic
   * @throws KubeconfigError when one cannot be read or used now
   */
  constructor(access: ApiAccess, nowMs: () => number = () => performance.now()) {
    this.#access = access
    this.#nowMs = nowMs
    this.#readAtMs = nowMs()
    this.#tls = readTls(access)
    this.#current = { token: readToken(access), secureContext: secureContextOf(access, this.#tls) }
  }

  current(): Credentials {
    const nowMs = this.#nowMs()
    if (nowMs - this.#readAtMs < READ_EVERY_MS) return this.#current
    this.#readAtMs = nowMs
    this.#current = { ...this.#current, token: orBefore(() => readToken(this.#access), this.#current.token) }
    this.#current = orBefore(() => {
      const tls = readTls(this.#access)
      if (tls.ca === this.#tls.ca && tls.cert === this.#tls.cert && tls.key === this.#tls.key) return this.#current
      const secureContext = secureContextOf(this.#access, tls)
      this.#tls = tls
      return { ...this.#current, secureContext }
    }, this.#current)
    return this.#current
  }
}

/** PEM. */
interface TlsTexts {
  readonly ca: string | undefined
  readonly cert: string | undefined
  readonly key: string | undefined
}

function readTls({ ca, clientCertificate, clientKey }: ApiAccess): TlsTexts {
  return {
    ca: ca && read(ca, 'the certificate authority'),
    cert: clientCertificate && read(clientCertificate, 'the client certificate'),
    key: clientKey && read(clientKey, 'the client key'),
  }
}

function readToken({ token }: ApiAccess): string | undefined {
  if (!token) return undefined
  const text = read(token, 'the token').trim()
  if (text === '' || /[^\x21-\x7e]/.test(text))
    throw new KubeconfigError(nameOf(token), 'the token', text === '' ? 'is empty' : 'has characters that no token has')
  return text
}

/** One after the other, so that the error names the one that is wrong. */
function secureContextOf(access: ApiAccess, { ca, cert, key }: TlsTexts): SecureContext | undefined {
  if (access.server.startsWith('http:')) return undefined
  const minVersion = 'TLSv1.2'
  // Node takes a CA of rubbish for one without certificates, and would then trust nobody.
  if (ca !== undefined) usable(access.ca, 'the certificate authority', () => new X509Certificate(ca))
  if (cert !== undefined) usable(access.clientCertificate, 'the client certificate', () => new X509Certificate(cert))
  if (key !== undefined) usable(access.clientKey, 'the client key', () => createPrivateKey(key))
  return usable(access.clientKey, 'the client key with its certificate', () =>
    createSecureContext({ ca, cert, key, minVersion }),
  )
}

function usable<T>(material: Material | undefined, what: string, make: () => T): T {
  try {
    return make()
  } catch (error) {
    const reason = `cannot be used: ${(error as Error).message}`
    throw new KubeconfigError(material ? nameOf(material) : 'kubeconfig', what, reason, { cause: error })
  }
}

function read(material: Material, what: string): string {
  if ('text' in material) return material.text
  try {
    return readRegularFile(material.file).toString()
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const remedy = material.file.includes('/serviceaccount/') ? '; does the pod have automountServiceAccountToken?' : ''
    throw new KubeconfigError(material.file, what, `cannot be read: ${code ?? message}${remedy}`, { cause: error })
  }
}

function orBefore<T>(make: () => T, before: T): T {
  try {
    return make()
  } catch {
    return before
  }
}

const nameOf = (material: Material) => ('file' in material ? material.file : 'kubeconfig')
