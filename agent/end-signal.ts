const SIGNALS = ['SIGTERM', 'SIGINT'] as const

/**
 * How the agent is told to end, from its first line on: the first process of a container does not end by itself
 * (pid_namespaces(7)), and would live for its whole grace period, with the lock. At first there is nothing to end well.
 */
export class EndSignal {
  #heed: (signal: NodeJS.Signals) => void = () => process.exit(0)

  constructor() {
    for (const signal of SIGNALS) process.on(signal, () => this.#heed(signal))
  }

  /** What is done from now on, instead of what was done until now. */
  heed(how: (signal: NodeJS.Signals) => void): void {
    this.#heed = how
  }

  /** From now on it ends nothing by itself. */
  told(): Promise<NodeJS.Signals> {
    return new Promise((resolve) => this.heed(resolve))
  }
}
