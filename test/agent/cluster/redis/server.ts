import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import type { Test } from 'tap'

const READY_TIMEOUT_MS = 30_000

export interface ServerSettings {
  /** Lines of redis.conf, besides. */
  readonly lines?: readonly string[]
  /** Of an ACL file: `user bramble on >secret …`. `default` may do everything without. */
  readonly acl?: string
  readonly hasTls?: boolean
}

/** A real redis-server on a port of its own of the loopback, with an append-only file in a folder of its own. */
export class RedisServer {
  readonly folder = mkdtempSync(join(tmpdir(), 'bramble-redis-'))
  readonly #settings: ServerSettings
  readonly port: number
  #child: ChildProcess | undefined
  /** One that may do everything: what a person would do with redis-cli. */
  admin!: Redis

  private constructor(settings: ServerSettings, port: number) {
    this.#settings = settings
    this.port = port
  }

  /** Starts one, that ends with the test. */
  static async start(t: Test, settings: ServerSettings = {}): Promise<RedisServer> {
    const server = new RedisServer(settings, await freePort())
    if (settings.hasTls) makeCertificates(server.folder)
    t.teardown(async () => {
      await server.stop('SIGKILL')
      rmSync(server.folder, { recursive: true, force: true })
    })
    await server.start()
    return server
  }

  get url(): string {
    return `${this.#settings.hasTls ? 'rediss' : 'redis'}://127.0.0.1:${this.port}`
  }

  /** With what it has in its append-only file, or without any when that was removed. */
  async start(): Promise<void> {
    const { lines = [], acl, hasTls } = this.#settings
    const file = (name: string) => join(this.folder, name)
    if (acl !== undefined) writeFileSync(file('users.acl'), `user default on nopass ~* &* +@all\n${acl}\n`)
    const conf = [
      `port ${hasTls ? 0 : this.port}`,
      ...(hasTls
        ? [`tls-port ${this.port}`, `tls-cert-file ${file('redis.crt')}`, `tls-key-file ${file('redis.key')}`]
        : []),
      ...(hasTls ? [`tls-ca-cert-file ${file('ca.crt')}`, 'tls-auth-clients optional'] : []),
      ...(acl === undefined ? [] : [`aclfile ${file('users.acl')}`]),
      'bind 127.0.0.1',
      `dir ${this.folder}`,
      `unixsocket ${file('admin.sock')}`,
      'appendonly yes',
      'appendfsync always',
      'save ""',
      ...lines,
    ]
    writeFileSync(file('redis.conf'), `${conf.join('\n')}\n`)
    // Ends with the test, however that ends.
    const args = ['--pdeathsig', 'KILL', 'redis-server', file('redis.conf')]
    const child = spawn('setpriv', args, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#child = child
    let log = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (log = (log + text).slice(-5_000)))
    const deadlineMs = performance.now() + READY_TIMEOUT_MS
    while (!/Ready to accept connections/.test(log)) {
      if (child.exitCode !== null || performance.now() > deadlineMs) throw new Error(`redis-server: ${log}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    this.admin = new Redis(file('admin.sock'), { protocol: 2, retryStrategy: () => null })
    this.admin.on('error', () => {})
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    this.admin?.disconnect()
    const child = this.#child
    this.#child = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGCONT')
    child.kill(signal)
    await exited
  }

  /** Neither answers nor closes, as behind a firewall that drops. */
  freeze(): void {
    this.#child?.kill('SIGSTOP')
  }

  thaw(): void {
    this.#child?.kill('SIGCONT')
  }

  /** Its data is gone with it. */
  async restartEmpty(): Promise<void> {
    await this.stop('SIGKILL')
    rmSync(join(this.folder, 'appendonlydir'), { recursive: true, force: true })
    await this.start()
  }

  /** PEM files: `ca.crt`, `other-ca.crt`. */
  path(name: string): string {
    return join(this.folder, name)
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

/** A CA and a certificate for 127.0.0.1 by it, and a CA of somebody else. */
function makeCertificates(folder: string): void {
  mkdirSync(folder, { recursive: true })
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' })
  const fresh = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  for (const name of ['ca', 'other-ca'])
    openssl(...fresh, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.crt`)
  const signed = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-addext', 'subjectAltName=IP:127.0.0.1']
  openssl(...fresh, '-subj', '/CN=redis', ...signed, '-keyout', 'redis.key', '-out', 'redis.crt')
}
