import type { Policy } from '../cluster/policy.ts'
import type { ClusterNamespace, ClusterPod } from '../cluster/workloads.ts'
import { selectsPod } from './selects.ts'

/** Which policies are for a pod, found without looking at those of other namespaces. */
export class PolicyIndex {
  readonly #policies = new Map<string, Policy>()
  /** Ids, by the namespace of the pods that they are for; '' for those that select namespaces by labels. */
  readonly #byNamespace = new Map<string, Set<string>>()

  ids(): Iterable<string> {
    return this.#policies.keys()
  }

  get(id: string): Policy | undefined {
    return this.#policies.get(id)
  }

  take(id: string, policy: Policy | undefined): void {
    const old = this.#policies.get(id)
    if (old) this.#byNamespace.get(namespaceOf(old))?.delete(id)
    if (!policy) this.#policies.delete(id)
    else {
      this.#policies.set(id, policy)
      const namespace = namespaceOf(policy)
      this.#byNamespace.set(namespace, (this.#byNamespace.get(namespace) ?? new Set()).add(id))
    }
  }

  /** In the order of their ids. */
  selecting(pod: ClusterPod, namespace: ClusterNamespace | undefined): Policy[] {
    const ids = [...(this.#byNamespace.get(pod.namespace) ?? []), ...(this.#byNamespace.get('') ?? [])]
    return ids.sort().flatMap((id) => {
      const policy = this.#policies.get(id)
      return policy && selectsPod(policy.subject, pod, namespace) ? [policy] : []
    })
  }
}

function namespaceOf({ subject }: Policy): string {
  return typeof subject.namespaces === 'string' ? subject.namespaces : ''
}
