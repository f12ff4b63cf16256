import type { ConnectionOptions } from 'node:tls'
import type { RedisOptions } from 'ioredis'
import { readRegularFile } from '../../regular-file.ts'
import { JoinError } from '../view.ts'

export interface TlsFiles {
  /** PEM, all three. */
  readonly caFile?: string
  readonly certFile?: string
  readonly keyFile?: string
}

/** Where Redis is and how to get in. */
export interface Endpoint {
  /** For people: `redis://10.0.0.1:6379`, and never a password. */
  readonly name: string
  readonly options: Pick<RedisOptions, 'host' | 'port' | 'db' | 'username' | 'password' | 'tls'>
  /** Takes the password out of a text that Redis sent. */
  redact(text: string): string
}

/** @throws JoinError that names what is wrong with the URL, and never repeats it: it may hold a password */
export function parseEndpoint(url: string, tls: TlsFiles = {}): Endpoint {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  const [, db = '0'] = /^\/?(\d{0,5})$/.exec(parsed?.pathname ?? '-') ?? []
  if (!parsed || !/^rediss?:$/.test(parsed.protocol) || !parsed.hostname || !/^\/?\d{0,5}$/.test(parsed.pathname))
    throw new JoinError(
      'the URL of Redis cannot be used; write it like redis://USER:PASSWORD@HOST:6379/0, or rediss://',
    )
  const isTls = parsed.protocol === 'rediss:'
  const usesFiles = Boolean(tls.caFile ?? tls.certFile ?? tls.keyFile)
  if (usesFiles && !isTls)
    throw new JoinError('files for TLS are given, but the URL begins with redis://; write rediss://')
  const host = parsed.hostname.replace(/^\[|\]$/g, '')
  const port = Number(parsed.port || 6379)
  const [username, password] = [decode(parsed.username), decode(parsed.password)]
  return {
    name: `${parsed.protocol}//${parsed.hostname}:${port}`,
    options: {
      host,
      port,
      db: Number(db),
      ...(password && { username: username || 'default', password }),
      ...(isTls && { tls: tlsOptions(tls) }),
    },
    redact: (text) => (password ? text.replaceAll(password, '***') : text),
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new JoinError('user name or password in the URL of Redis has a % that is no escape; write %25 for it')
  }
}

/**
 * Read anew for each connection, so that renewed certificates are taken without a restart; a file that cannot be read
 * for a moment is what it was.
 * @throws JoinError
 */
function tlsOptions({ caFile, certFile, keyFile }: TlsFiles): ConnectionOptions {
  if (Boolean(certFile) !== Boolean(keyFile))
    throw new JoinError('a certificate and its key for Redis go together; give both files, or neither')
  const options: ConnectionOptions = {}
  for (const [field, path] of Object.entries({ ca: caFile, cert: certFile, key: keyFile })) {
    if (path === undefined) continue
    let last = readFile(path)
    const get = () => {
      try {
        last = readFile(path)
      } catch {
        // as it was
      }
      return last
    }
    Object.defineProperty(options, field, { enumerable: true, get })
  }
  return options
}

function readFile(path: string): Buffer {
  try {
    return readRegularFile(path)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new JoinError(`${path}, for TLS with Redis, cannot be read: ${code ?? message}`)
  }
}
