import type { Logger } from 'pino'
import { jsonPieces, KeptFile, type Lists } from './kept-file.ts'
import { formatNamespaceObject, parseNamespaceObject } from './namespace-object.ts'
import { formatPodObject, parsePodObject } from './pod-object.ts'
import { type Peer, type Policy, policyId, type Rule } from './policy.ts'
import type { ClusterPod, Workloads } from './workloads.ts'

/** With every change of Policy it is another one: policies are kept as the values that they are. */
const FORMAT = 'bramble-workloads/1'

/**
 * What policies need of the last workloads, in a file on tmpfs. It costs as much memory as it is long: 10,000 pods with
 * four labels each take 4 MiB, 1,000 policies 1 MiB; and where there is no policy, next to nothing.
 */
export class KeptWorkloads {
  readonly #file: KeptFile
  readonly #nodeName: string

  constructor(path: string, nodeName: string, log: Logger) {
    this.#file = new KeptFile(path, FORMAT, 'what is known of pods and policies', log)
    this.#nodeName = nodeName
  }

  /** @returns undefined when there are none that can be read: of policies none may be missing */
  read(): Workloads | undefined {
    return this.#file.read(({ pods, namespaces, policies }) => ({
      pods: byKey((pods as unknown[]).map(parsePodObject), ({ namespace, name }) => `${namespace}/${name}`),
      namespaces: byKey((namespaces as unknown[]).map(parseNamespaceObject), ({ name }) => name),
      policies: byKey((policies as Policy[]).map(readPolicy), policyId),
    }))
  }

  write(workloads: Workloads): void {
    this.#file.write(this.#listsOf(workloads))
  }

  async writeInTurns(workloads: Workloads): Promise<void> {
    await this.#file.writeInTurns(this.#listsOf(workloads))
  }

  #listsOf({ pods, namespaces, policies }: Workloads): Lists {
    const isNeeded = ({ nodeName, isHostNetwork, addresses }: ClusterPod) =>
      nodeName === this.#nodeName || (policies.size > 0 && !isHostNetwork && addresses.length > 0)
    return {
      policies: jsonPieces([...policies.values()], formatPolicy),
      namespaces: jsonPieces([...namespaces.values()], (one) => JSON.stringify(formatNamespaceObject(one))),
      pods: jsonPieces([...pods.values()].filter(isNeeded), (one) => JSON.stringify(formatPodObject(one))),
    }
  }
}

/** JSON has no numbers of 128 bits: those of addresses are texts there. */
function formatPolicy(policy: Policy): string {
  return JSON.stringify(policy, (_, value) => (typeof value === 'bigint' ? String(value) : value))
}

function readPolicy({ ingress, egress, ...rest }: Policy): Policy {
  return {
    ...rest,
    ...(ingress && { ingress: ingress.map(readRule) }),
    ...(egress && { egress: egress.map(readRule) }),
  }
}

function readRule({ peers, ...rest }: Rule): Rule {
  return { ...rest, ...(peers && { peers: peers.map(readPeer) }) }
}

function readPeer(peer: Peer): Peer {
  if (peer.kind !== 'ranges') return peer
  const ranges = peer.ranges.map(({ family, first, last }) => ({ family, first: BigInt(first), last: BigInt(last) }))
  return { ...peer, ranges }
}

function byKey<T>(values: readonly T[], keyOf: (value: T) => string): Map<string, T> {
  return new Map(values.map((value) => [keyOf(value), value]))
}
