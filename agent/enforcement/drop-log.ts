import { networkInterfaces } from 'node:os'
import type { Logger } from 'pino'
import type { KernelError } from '../kernel/errors.ts'
import { Nflog } from '../kernel/nflog.ts'
import type { LoggedPacket } from '../kernel/nflog-message.ts'
import { DROP_LOG_GROUP } from '../ownership.ts'
import { Identities, type Identity } from '../policy/identities.ts'
import type { PolicyInput } from '../policy/input.ts'
import { type Ending, LOG_PREFIX } from '../ruleset/table.ts'
import { LineBudget } from './line-budget.ts'

/** Many of them say the same: lines are far fewer. */
const PACKETS_PER_SECOND_MAX = 200
/** Anybody may isolate a pod of theirs by a thousand policies, with names of 253 characters. */
const POLICIES_MAX = 4
/** IPPROTO_* of include/uapi/linux/in.h */
const PROTOCOL_NAMES: Readonly<Record<number, string>> = { 1: 'ICMP', 6: 'TCP', 17: 'UDP', 58: 'ICMPv6', 132: 'SCTP' }

/** What the words of a drop are taken from, as it is at each moment. */
export interface DropContext {
  /** Work: asked for when a line is told. */
  readonly input: PolicyInput | undefined
  endingOf(chain: string): Ending | undefined
}

/** Tells who wanted what of whom and was dropped, or would have been, and by which policy. */
export class DropLog {
  readonly #context: DropContext
  readonly #log: Logger
  #nflog: Nflog | undefined
  #identities: { readonly of: PolicyInput; readonly them: Identities } | undefined
  readonly #budget = new LineBudget()

  constructor(context: DropContext, log: Logger) {
    this.#context = context
    this.#log = log
  }

  /**
   * Without it everything is enforced and counted all the same.
   * @returns whether rules may log: without NFLOG the kernel refuses them
   */
  async start(): Promise<boolean> {
    try {
      this.#nflog = await Nflog.bind({
        group: DROP_LOG_GROUP,
        packetsPerSecondMax: PACKETS_PER_SECOND_MAX,
        onPacket: (packet) => this.#tell(packet),
        onLost: () => {},
      })
      return true
    } catch (error) {
      this.#log.warn({ err: error }, 'what policies drop is counted, and cannot be logged')
      return (error as Partial<KernelError>).errno !== 'EINVAL'
    }
  }

  close(): void {
    this.#nflog?.close()
  }

  #tell({ prefix, header }: LoggedPacket): void {
    const name = prefix.slice(LOG_PREFIX.length)
    const ending = this.#context.endingOf(name)
    if (!ending) return
    const { direction, policies } = ending
    const { source, destination, protocol, destinationPort } = header
    const what = [name, source, destination, protocol, destinationPort].join(' ')
    // Those whose rules drop it are pods of this node. Who sends it may have as many addresses as they like.
    const who = `${direction} ${direction === 'ingress' ? destination : source}`
    if (!this.#budget.mayTell(what, who, performance.now())) return
    const { input } = this.#context
    if (!input) return
    const identities = this.#identitiesOf(input)
    this.#log.info(
      {
        direction,
        source,
        from: nameOf(identities.at(source), input.nodeName),
        destination,
        to: nameOf(identities.at(destination), input.nodeName),
        protocol: PROTOCOL_NAMES[protocol] ?? protocol,
        ...(destinationPort > 0 && { port: destinationPort }),
        policies: policies.slice(0, POLICIES_MAX),
        ...(policies.length > POLICIES_MAX && { morePolicies: policies.length - POLICIES_MAX }),
      },
      wordsOf(ending),
    )
  }

  #identitiesOf(input: PolicyInput): Identities {
    const { workloads, nodes, localPods } = input
    const before = this.#identities?.of
    if (before?.workloads !== workloads || before.nodes !== nodes || before.localPods !== localPods)
      this.#identities = { of: input, them: new Identities(input) }
    return (this.#identities as { readonly them: Identities }).them
  }
}

function wordsOf({ effect }: Ending): string {
  switch (effect) {
    case 'audited':
      return 'let through: a policy on audit would drop it'
    case 'unknown':
      return 'dropped: the cluster has said nothing of the pod yet'
    case 'closed':
      return 'dropped: no policy allows it (--policy-mode always)'
    default:
      return 'dropped by policy; see bramblectl policy explain'
  }
}

function nameOf({ address, pods, local, nodeName }: Identity, ownName: string): string {
  if (pods[0]) return `pod ${pods[0].key}`
  if (local?.pod !== undefined) return `pod ${local.pod}`
  if (nodeName !== undefined) return `node ${nodeName}`
  if (local) return 'a container of this node'
  return isOwnAddress(address) ? `node ${ownName}` : 'world'
}

/** Its Node object tells of some of them. Asked for a line of the log alone: they may change at any time. */
function isOwnAddress(address: string): boolean {
  return Object.values(networkInterfaces()).some((own = []) => own.some((one) => one.address === address))
}
