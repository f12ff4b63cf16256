import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { run } from '../scratch.ts'

const LANS = ['a', 'b'] as const
const file = (lan: string) => `/run/lan-${lan}.pcap`

/** What passed a LAN, as somebody would see it who listens there. */
export interface Overheard {
  readonly lan: string
  /** How often these bytes passed in the clear. */
  count(bytes: string): number
  /** How many packets a filter of pcap-filter(7) lets pass. */
  packets(filter: string): Promise<number>
}

/** Listens on both LANs. */
export class Wiretap {
  readonly #listeners: readonly ChildProcess[]

  private constructor(listeners: readonly ChildProcess[]) {
    this.#listeners = listeners
  }

  static async start(): Promise<Wiretap> {
    const listeners = LANS.map((lan) => {
      const tcpdump = ['tcpdump', '-i', `lan-${lan}`, '-U', '--immediate-mode', '-B', '16384', '-w', file(lan)]
      return spawn('setpriv', ['--pdeathsig', 'KILL', ...tcpdump, '-Z', 'root'], {
        stdio: ['ignore', 'ignore', 'pipe'],
      })
    })
    await Promise.all(
      listeners.map(async ({ stderr }) => {
        for await (const text of stderr?.iterator({ destroyOnReturn: false }) ?? [])
          if (/listening on/.test(`${text}`)) return
        throw new Error('tcpdump does not listen')
      }),
    )
    return new Wiretap(listeners)
  }

  /** @throws Error when the kernel had to leave something out */
  async end(): Promise<Overheard[]> {
    await Promise.all(
      this.#listeners.map(async (listener) => {
        let said = ''
        listener.stderr?.on('data', (text) => (said += text))
        listener.kill('SIGINT')
        await once(listener, 'close')
        if (!/^0 packets dropped by kernel$/m.test(said)) throw new Error(`tcpdump: ${said}`)
      }),
    )
    return LANS.map((lan) => {
      const bytes = readFileSync(file(lan))
      return {
        lan,
        count: (wanted) => countIn(bytes, wanted),
        packets: async (filter) => (await run('tcpdump', '-n', '-r', file(lan), filter)).split('\n').length - 1,
      }
    })
  }
}

function countIn(bytes: Buffer, wanted: string): number {
  let count = 0
  for (let at = bytes.indexOf(wanted); at >= 0; at = bytes.indexOf(wanted, at + wanted.length)) count++
  return count
}
