import { type Call, call, type Reply } from './plugin.ts'
import { makeNetns, run } from './scratch.ts'

/** The result of ADD, as far as tests read it. */
export interface Result {
  readonly cniVersion: string
  readonly interfaces: readonly {
    readonly name: string
    readonly mac: string
    readonly mtu?: number
    readonly sandbox?: string
  }[]
  readonly ips: readonly {
    readonly address: string
    readonly gateway: string
    readonly interface: number
    readonly version?: string
  }[]
  readonly routes: readonly { readonly dst: string; readonly gw: string }[]
}

export interface PodOptions extends Omit<Call, 'containerId'> {
  readonly name?: string
}

let pods = 0

/** A container of a runtime: a network namespace, wired by the plugin. */
export class Pod {
  readonly containerId: string
  readonly netns: string
  readonly ifname: string
  readonly result: Result
  readonly #config: Readonly<Record<string, unknown>>

  private constructor(
    containerId: string,
    netns: string,
    ifname: string,
    result: Result,
    config: Readonly<Record<string, unknown>>,
  ) {
    this.containerId = containerId
    this.netns = netns
    this.ifname = ifname
    this.result = result
    this.#config = config
  }

  /** Makes a network namespace and ADDs it. @throws Error with the plugin's words when it refuses */
  static async add({ name = 'pod', ...options }: PodOptions = {}): Promise<Pod> {
    const containerId = `${name}-${++pods}`
    const netns = options.netns ?? (await makeNetns(containerId))
    return Pod.#added(containerId, netns, options)
  }

  static async #added(containerId: string, netns: string, options: Omit<Call, 'containerId'>): Promise<Pod> {
    const { ifname = 'eth0', config = {} } = options
    const { exitCode, json } = await call('ADD', { ...options, containerId, netns })
    if (exitCode !== 0) throw new Error(`ADD of ${containerId}: ${JSON.stringify(json)}`)
    return new Pod(containerId, netns, ifname, json, config)
  }

  /** A further interface for the same container. */
  addInterface(ifname: string): Promise<Pod> {
    return Pod.#added(this.containerId, this.netns, { ifname, config: this.#config })
  }

  /** Without prefix length, IPv4 first. */
  get addresses(): string[] {
    return this.result.ips.map(({ address }) => address.replace(/\/\d+$/, ''))
  }

  get hostLink(): string {
    return this.result.interfaces.find(({ sandbox }) => !sandbox)?.name ?? ''
  }

  get mac(): string {
    return this.result.interfaces.find(({ sandbox }) => sandbox === this.netns)?.mac ?? ''
  }

  /** @param prevResult what the chain's last plugin returned, where ours was not the last */
  check(prevResult: object = this.result): Promise<Reply> {
    return this.#call('CHECK', { prevResult })
  }

  del(options: Pick<Call, 'netns' | 'program'> = {}): Promise<Reply> {
    return this.#call('DEL', { prevResult: this.result }, options)
  }

  /** The namespace goes as when the last process in it ends: nobody calls DEL. */
  async vanish(): Promise<void> {
    await run('ip', 'netns', 'delete', this.containerId)
  }

  #call(command: string, keys: object, options: Pick<Call, 'netns' | 'program'> = {}): Promise<Reply> {
    const { containerId, netns, ifname } = this
    return call(command, { containerId, netns, ifname, config: { ...this.#config, ...keys }, ...options })
  }
}
