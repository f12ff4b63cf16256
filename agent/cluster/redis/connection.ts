import { Redis } from 'ioredis'
import { Connector } from './connector.ts'
import type { Endpoint } from './endpoint.ts'
import { explain } from './explain.ts'
import type { Script } from './scripts.ts'

/** Nothing arrives for so long although something was asked: a firewall dropped the connection, or the host is gone. */
const SILENCE_MS = 6_000
const CONNECT_TIMEOUT_MS = 5_000
/** Full jitter, so that a cluster that lost its Redis does not come back to it all at once. */
const RETRY_MS = { first: 200, most: 5_000 } as const

/** Redis cannot be asked now; the message goes on after its name. */
export class RedisError extends Error {
  override readonly name = 'RedisError'
  readonly code = 'REDIS' as const
}

export interface ConnectionEvents {
  /** Each time that it is there (again). */
  readonly onReady: () => void
  /** It went, or did not come, and why: undefined as soon as it is there. */
  readonly onTrouble: (reason: string | undefined) => void
}

/**
 * A connection that comes back by itself. Commands are never queued: without a connection they are refused at once, or
 * as soon as it is known whether there is one.
 */
export class Connection {
  readonly #client: Redis
  readonly #endpoint: Endpoint
  readonly #name: string
  #isReady = false
  #isRefused = false
  #trouble: string | undefined
  readonly #firstOutcome = Promise.withResolvers<void>()

  /** @param name what `CLIENT LIST` of Redis shows */
  constructor(endpoint: Endpoint, name: string, { onReady, onTrouble }: ConnectionEvents) {
    this.#endpoint = endpoint
    this.#name = name
    const trouble = (reason: string | undefined) => {
      this.#trouble = reason
      this.#firstOutcome.resolve()
      onTrouble(reason)
    }
    this.#client = new Redis({
      ...endpoint.options,
      Connector,
      // What a new connection sends is what docs/redis.md permits: AUTH, SELECT; neither HELLO nor INFO.
      protocol: 2,
      enableReadyCheck: false,
      disableClientInfo: true,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      connectTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: SILENCE_MS,
      retryStrategy: (times) => Math.random() * Math.min(RETRY_MS.first * 2 ** Math.min(times, 10), RETRY_MS.most),
      lazyConnect: true,
    })
    this.#client.on('connect', () => (this.#isRefused = false))
    this.#client.on('ready', async () => {
      if (this.#isRefused || !(await this.#isLetIn(trouble))) return
      this.#isReady = true
      trouble(undefined)
      onReady()
    })
    this.#client.on('error', (error: Error) => {
      // A database that we may not have: going on would be in database 0.
      this.#isRefused = (error as { command?: { name?: string } }).command?.name === 'select'
      if (this.#isRefused) this.#client.disconnect(true)
      trouble(explain(error, endpoint.redact))
    })
    this.#client.on('close', () => {
      if (this.#isReady || this.#trouble === undefined) trouble(this.#trouble ?? 'not reachable (connection closed)')
      this.#isReady = false
    })
    this.#client.connect().catch(() => {}) // told as trouble
  }

  get isReady(): boolean {
    return this.#isReady
  }

  /** @throws RedisError */
  async call(command: string, ...args: readonly (string | number)[]): Promise<unknown> {
    await this.#firstOutcome.promise // a connection that is new is no trouble yet
    if (!this.#isReady) throw new RedisError(this.#trouble ?? 'the connection ended')
    try {
      return await this.#client.call(command, ...args)
    } catch (error) {
      if (/^NOSCRIPT /.test((error as Error).message)) throw error
      throw this.#explained(error as Error)
    }
  }

  /** Runs a script, which Redis keeps by its hash until it restarts. @throws RedisError */
  async run({ text, sha, keys }: Script, ...args: readonly string[]): Promise<unknown> {
    try {
      return await this.call('EVALSHA', sha, keys.length, ...keys, ...args)
    } catch (error) {
      if (error instanceof RedisError) throw error
      return await this.call('EVAL', text, keys.length, ...keys, ...args)
    }
  }

  /** Somewhere else may be better: a replica that was the primary, behind a name. */
  reconnect(): void {
    this.#client.disconnect(true)
  }

  close(): void {
    this.#client.disconnect()
  }

  /** Gives the connection its name: the first command, that tells whether a password is wanted, where none was sent. */
  async #isLetIn(trouble: (reason: string) => void): Promise<boolean> {
    try {
      await this.#client.call('CLIENT', 'SETNAME', this.#name)
      return true
    } catch (error) {
      const { name, message } = error as Error
      if (/^NOPERM /.test(message)) return true // a connection without a name is as good
      if (name !== 'ReplyError') return false // it ended, and comes back
      trouble(explain(error as Error, this.#endpoint.redact))
      setTimeout(() => this.#isReady || this.#client.disconnect(true), RETRY_MS.most).unref()
      return false
    }
  }

  /** ioredis refuses in its own words what a connection that ends has not answered; why it ended is told already. */
  #explained(error: Error): RedisError {
    if (error.name !== 'ReplyError') return new RedisError(this.#trouble ?? 'the connection ended', { cause: error })
    if (/^READONLY /.test(error.message)) this.reconnect()
    return new RedisError(explain(error, this.#endpoint.redact))
  }
}
