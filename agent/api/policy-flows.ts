import { flowOf } from '../enforcement/cut-connections.ts'
import { type ConntrackEntry, hasEnded } from '../kernel/conntrack.ts'
import { Evaluator } from '../policy/evaluate.ts'
import type { Flow } from '../policy/flow.ts'
import type { Identities } from '../policy/identities.ts'
import { describeVerdict } from '../policy/words.ts'
import type { FlowRow, Preview } from './policy-answers.ts'
import type { Change } from './policy-preview.ts'

/** People read it; all are counted. */
const ROWS_MAX = 200

/** Of the connections that a node has now those that a change would cut: of its own pods, allowed as it is, and no longer then. */
export class CutFlows {
  readonly #was: Evaluator
  readonly #is: Evaluator
  readonly #rows = new Map<string, FlowRow>()
  #cut = 0
  #looked = 0

  constructor({ before, after }: Pick<Change, 'before' | 'after'>) {
    this.#was = new Evaluator(before)
    this.#is = new Evaluator(after)
  }

  take(entry: ConntrackEntry): void {
    const flow = flowOf(entry)
    const { identities } = this.#was
    if (!identities.at(flow.source).local && !identities.at(flow.destination).local) return
    if (hasEnded(entry)) return
    this.#looked++
    const after = this.#is.evaluate(flow)
    if (after.isAllowed || !this.#was.evaluate(flow).isAllowed) return
    this.#cut++
    if (this.#rows.size >= ROWS_MAX) return
    const { source, destination } = flow
    const port = flow.protocol === 'ICMP' ? 'ICMP' : `${flow.protocol} ${flow.destinationPort}`
    this.#rows.set(`${source} ${entry.original.sourcePort} ${destination} ${port}`, {
      from: nameOf(identities, flow.source),
      to: nameOf(identities, flow.destination),
      source: flow.protocol === 'ICMP' ? source : withPort(source, entry.original.sourcePort),
      destination,
      port,
      why: describeVerdict(after),
    })
  }

  get report(): NonNullable<Preview['flows']> {
    const cut = [...this.#rows.values()].sort((a, b) => (textOf(a) < textOf(b) ? -1 : 1))
    return { cut, more: Math.max(0, this.#cut - cut.length), looked: this.#looked }
  }
}

function nameOf(identities: Identities, address: Flow['source']): string {
  const { pods, local, nodeName } = identities.at(address)
  if (pods[0]) return pods[0].key
  if (local) return local.pod ?? 'a container'
  return nodeName === undefined ? 'world' : `node ${nodeName}`
}

function withPort(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

function textOf({ from, to, port, source }: FlowRow): string {
  return [from, to, port, source].join(' ')
}
