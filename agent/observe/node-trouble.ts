import type { AgentPod, NodeUnready } from '../cluster/view.ts'
import type { PublishedStatus } from './published-status.ts'

/** What the cluster says of a node whose agent cannot say it: in one line, with what to do. Pure. */

export interface NodeTrouble {
  readonly text: string
  /** By the clock of whoever wrote it. */
  readonly sinceMs?: number
}

export interface SeenNode {
  readonly node: string
  readonly unready: NodeUnready | undefined
  /** Those on it; undefined: it is not known which there are. */
  readonly pods: readonly AgentPod[] | undefined
  /** What its agent said last. */
  readonly status: PublishedStatus | undefined
}

/** undefined: the cluster has nothing to say against it. */
export function troubleOfNode({ node, unready, pods, status }: SeenNode): NodeTrouble | undefined {
  if (unready && !unready.isHeard)
    return {
      text: 'the node is away: its kubelet is not heard; is it on, and on the network? on it: systemctl status kubelet (k3s: k3s-agent)',
      ...sinceOf(unready),
    }
  const agent = pods && troubleOfPods(node, pods, status)
  if (agent) return agent
  if (!unready) return undefined
  const message = unready.message === '' ? '' : `: ${unready.message}`
  return { text: `the node is NotReady${message}; kubectl describe node ${node}`, ...sinceOf(unready) }
}

/** Beside one that is going there may be the next one, or none yet. */
function troubleOfPods(
  node: string,
  pods: readonly AgentPod[],
  status: PublishedStatus | undefined,
): NodeTrouble | undefined {
  if (pods.some(({ isReady }) => isReady)) return undefined
  const [pod] = pods.toSorted((a, b) => Number(a.isLeaving) - Number(b.isLeaving))
  if (pod) return { text: troubleOfPod(pod), ...sinceOf(pod) }
  if (status?.runsAs === 'pod')
    return { text: `no pod of the agent is on it any more; kubectl get daemonsets -A, kubectl describe node ${node}` }
  if (status) return undefined // it runs without one
  return {
    text: `no agent has ever run on it: no pod of its DaemonSet is there (kubectl get daemonsets -A, kubectl describe node ${node}); without one, on it: systemctl status bramble-agent`,
  }
}

function troubleOfPod({ namespace, name, reason, isLeaving }: AgentPod): string {
  const ask = (command: string) => `kubectl -n ${namespace} ${command}`
  if (isLeaving) return `its agent ends, and no other is ready; ${ask('get pods -o wide')}`
  if (reason === undefined) return `its agent is not Ready; ${ask(`logs ${name}`)}`
  const command = reason === 'CrashLoopBackOff' ? `logs ${name} --previous` : `describe pod ${name}`
  return `its agent does not run: ${reason}; ${ask(command)}`
}

function sinceOf({ sinceMs }: { readonly sinceMs?: number }): { sinceMs?: number } {
  return sinceMs === undefined ? {} : { sinceMs }
}
