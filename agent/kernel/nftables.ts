import type { KoffiFunc } from 'koffi'
import { KernelError } from './errors.ts'
import koffi from './koffi.ts'
import { Netlink } from './netlink.ts'
import { NETLINK_PROTOCOL, NetlinkSocket, netlinkDescriptors, portOf } from './netlink-socket.ts'
import { type ElementChange, elementRequests, TRANSACTION } from './nft-elements.ts'
import { isNoSuchObject, NftablesError } from './nftables-error.ts'

/**
 * libnftables inside of this process: what `nft` does, without a process for each command. The library may only be asked
 * one thing at a time; what takes long waits for the kernel in a thread of its own, and all others wait for that.
 *
 * The library's socket is made in the network namespace in which the main thread is then, and stays there. So it does not
 * matter in which one a thread is later; but for names of links in rules (`iifname` is a text and no such name).
 */

const LIBRARY = 'libnftables.so.1'

// nftables/libnftables.h
const NFT_CTX_DEFAULT = 0
const NFT_CTX_OUTPUT_STATELESS = 1 << 2
const NFT_CTX_OUTPUT_JSON = 1 << 4
const NFT_CTX_OUTPUT_TERSE = 1 << 11

/** A rule or some elements of a set: less than 0.2 ms, where the way through another thread takes twice that. */
const SYNCHRONOUS_BYTES_MAX = 2048

type Context = unknown
type Run = KoffiFunc<(context: Context, commands: string) => number>

export class Nftables {
  readonly #library: ReturnType<typeof bindLibrary>
  readonly #context: Context
  readonly #socket: number | undefined
  /** For what needs no library. */
  readonly #netlink: Netlink
  #queue: Promise<unknown> = Promise.resolve()
  #waiting = 0

  /** @throws NftablesError where the library or the kernel's part is missing; it says what to install */
  static load(library = LIBRARY): Nftables {
    // The library ends the process when it gets no socket.
    try {
      new NetlinkSocket(NETLINK_PROTOCOL.netfilter).close()
    } catch (error) {
      throw new NftablesError('the kernel has no nftables; load the module: modprobe nf_tables', { cause: error })
    }
    return new Nftables(library)
  }

  private constructor(path: string) {
    this.#library = bindLibrary(path)
    const { nft_ctx_new, nft_ctx_buffer_error, nft_ctx_buffer_output } = this.#library
    this.#netlink = new Netlink(NETLINK_PROTOCOL.netfilter)
    const others = netlinkDescriptors(NETLINK_PROTOCOL.netfilter)
    this.#context = nft_ctx_new(NFT_CTX_DEFAULT)
    this.#socket = netlinkDescriptors(NETLINK_PROTOCOL.netfilter).find((fd) => !others.includes(fd))
    nft_ctx_buffer_error(this.#context)
    nft_ctx_buffer_output(this.#context)
  }

  /** Whose a change of the ruleset was: that of the socket with this port. */
  isOurs(port: number): boolean {
    if (port === 0) return false // the kernel by itself; a socket of ours that has not spoken has no port yet, either
    return port === this.#netlink.port || (this.#socket !== undefined && portOf(this.#socket) === port)
  }

  /**
   * Carries out commands in the language of `nft`, one a line: all of them, or none. No line breaks where there could
   * not be a semicolon, as in the middle of a list of elements.
   * @throws NftablesError with the library's words, and the line that they are about
   */
  async run(commands: string): Promise<void> {
    await this.#call(commands, 0, commands.length <= SYNCHRONOUS_BYTES_MAX)
  }

  /**
   * Elements of sets and maps that are there, in one transaction, and without the library.
   * @throws NftablesError that names the set; nothing has changed
   */
  changeElements(table: string, changes: readonly ElementChange[]): Promise<void> {
    const requests = changes.flatMap((change) => elementRequests(table, change))
    return this.#enqueue(async () => {
      const outcomes = await this.#netlink.transact(TRANSACTION.begin, requests, TRANSACTION.end)
      const refusal = outcomes.find((outcome) => outcome instanceof KernelError)
      if (refusal) throw new NftablesError(refusal.message, { errno: refusal.errno, cause: refusal })
    })
  }

  /**
   * What `nft -j` prints, without its first object. Not for tables: libnftables 1.0.6 reads memory that it has freed when
   * it writes one with flags, as anybody can set them, in JSON.
   * @returns nothing when there is no such object
   * @throws NftablesError
   */
  async list(
    command: `list ${'set' | 'map' | 'chain' | 'counters'} ${string}`,
  ): Promise<Readonly<Record<string, unknown>>[]> {
    const output = await this.#listing(command, NFT_CTX_OUTPUT_JSON)
    return output === '' ? [] : JSON.parse(output).nftables.slice(1)
  }

  /** What `nft` prints for people, without elements and counters. @returns '' when there is no such object @throws NftablesError */
  show(command: `list ${string}`): Promise<string> {
    return this.#listing(command, NFT_CTX_OUTPUT_TERSE | NFT_CTX_OUTPUT_STATELESS)
  }

  /** When what runs has ended. */
  async close(): Promise<void> {
    await this.#enqueue(async () => this.#library.nft_ctx_free(this.#context))
    this.#netlink.close()
  }

  async #listing(command: string, flags: number): Promise<string> {
    try {
      return await this.#call(command, flags, false)
    } catch (error) {
      if (isNoSuchObject(error)) return ''
      throw error
    }
  }

  #call(commands: string, flags: number, isShort: boolean): Promise<string> {
    const { nft_ctx_get_error_buffer, nft_ctx_get_output_buffer, nft_ctx_output_set_flags, nft_run_cmd_from_buffer } =
      this.#library
    // Of several lines the library shows the first one with its errors, whichever was wrong: so it gets one.
    const line = commands.replaceAll('\n', ';')
    return this.#enqueue(async () => {
      nft_ctx_output_set_flags(this.#context, flags)
      const result = isShort
        ? nft_run_cmd_from_buffer(this.#context, line)
        : await inThread(nft_run_cmd_from_buffer, this.#context, line)
      if (result !== 0) throw NftablesError.from(nft_ctx_get_error_buffer(this.#context), commands)
      return nft_ctx_get_output_buffer(this.#context)
    })
  }

  /** At once, where nothing runs. */
  #enqueue<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#waiting === 0 ? work() : this.#queue.then(work)
    this.#waiting++
    this.#queue = result.catch(() => {}).then(() => this.#waiting--)
    return result
  }
}

function bindLibrary(path: string) {
  try {
    const library = koffi.load(path)
    const bind = <F extends (context: Context, ...rest: never[]) => unknown>(prototype: string) =>
      library.func(prototype) as KoffiFunc<F>
    return {
      nft_ctx_new: library.func('void *nft_ctx_new(uint32_t flags)') as KoffiFunc<(flags: number) => Context>,
      nft_ctx_free: bind<(context: Context) => void>('void nft_ctx_free(void *context)'),
      nft_ctx_buffer_error: bind<(context: Context) => number>('int nft_ctx_buffer_error(void *context)'),
      nft_ctx_buffer_output: bind<(context: Context) => number>('int nft_ctx_buffer_output(void *context)'),
      nft_ctx_get_error_buffer: bind<(context: Context) => string>(
        'const char *nft_ctx_get_error_buffer(void *context)',
      ),
      nft_ctx_get_output_buffer: bind<(context: Context) => string>(
        'const char *nft_ctx_get_output_buffer(void *context)',
      ),
      nft_ctx_output_set_flags: bind<(context: Context, flags: number) => void>(
        'void nft_ctx_output_set_flags(void *context, uint32_t flags)',
      ),
      nft_run_cmd_from_buffer: library.func('int nft_run_cmd_from_buffer(void *context, const char *commands)') as Run,
    }
  } catch (error) {
    throw new NftablesError(`cannot load ${path}; install the package libnftables1`, { cause: error })
  }
}

function inThread(run: Run, context: Context, commands: string): Promise<number> {
  return new Promise((resolve, reject) => {
    run.async(context, commands, (error, result) => (error ? reject(error) : resolve(result)))
  })
}
