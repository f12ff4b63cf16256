import { Nftables } from './nftables.ts'

/**
 * The library, loaded when it is first needed, and tried again each time while it cannot be: somebody may install it.
 * What is only looked at is empty meanwhile.
 */
export class LazyNftables {
  #loaded: Nftables | undefined

  /** @throws NftablesError */
  async run(commands: string): Promise<void> {
    await this.#library().run(commands)
  }

  /** @throws NftablesError */
  async changeElements(...change: Parameters<Nftables['changeElements']>): Promise<void> {
    await this.#library().changeElements(...change)
  }

  /** @throws NftablesError */
  async list(command: Parameters<Nftables['list']>[0]) {
    return this.#isThere() ? this.#library().list(command) : []
  }

  /** @throws NftablesError */
  async show(command: Parameters<Nftables['show']>[0]): Promise<string> {
    return this.#isThere() ? this.#library().show(command) : ''
  }

  isOurs(port: number): boolean {
    return this.#loaded?.isOurs(port) ?? false
  }

  async close(): Promise<void> {
    await this.#loaded?.close()
  }

  #library(): Nftables {
    this.#loaded ??= Nftables.load()
    return this.#loaded
  }

  #isThere(): boolean {
    try {
      this.#library()
      return true
    } catch {
      return false
    }
  }
}
