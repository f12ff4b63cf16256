import { connect as connectPlain, Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { AbstractConnector, type RedisOptions } from 'ioredis'

/**
 * Opens sockets as ioredis does, but hears all of their errors. ioredis hears one of each; TLS sometimes has two, when a
 * handshake breaks off and the other side answers with an alert, and the second one would end the agent.
 */
export class Connector extends AbstractConnector {
  readonly #options: Pick<RedisOptions, 'host' | 'port' | 'tls'>

  constructor(options: unknown) {
    const { disconnectTimeout = 2_000, ...rest } = options as RedisOptions
    super(disconnectTimeout)
    this.#options = rest
  }

  async connect(): Promise<Socket> {
    this.connecting = true
    const stream = this.#open()
    this.stream = stream
    stream.on('error', (error) => {
      this.firstError = error
    })
    return stream
  }

  /** TLS files that are none make a socket that has failed: ioredis tells it and tries again, where a throw would end it. */
  #open(): Socket {
    const { host = '', port = 0, tls } = this.#options
    try {
      return tls ? connectTls({ host, port, ...tls }) : connectPlain({ host, port })
    } catch (error) {
      this.firstError = error as Error
      return new Socket().destroy()
    }
  }
}
