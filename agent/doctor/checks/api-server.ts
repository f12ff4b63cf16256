import { check } from '../check.ts'
import type { AgentState, Firewall, Network } from '../facts.ts'
import { command, type Finding, type Remedy, shellWord } from '../finding.ts'
import { RESTART_PODS } from './restart-pods.ts'

/** What the agent says of the API server (agent/cluster/kubernetes/explain.ts), and what a person does about it. */

const UNREACHABLE = /^the API server (\S+): not reachable \(([^()]*)\)/
const FORBIDDEN = /^the API server (\S+): does not let us (\S+ \S+) \(403\): give a ClusterRole /
const NOT_ACCEPTED = /^the API server (\S+): does not accept our credentials \(401\)/

export function isOfApiServer(problem: string): boolean {
  return [UNREACHABLE, FORBIDDEN, NOT_ACCEPTED].some((one) => one.test(problem))
}

export const API_SERVER_CHECKS = [
  check({
    name: 'api-unreachable',
    symptom: 'the agent logs that the API server is not reachable; a new node does not get Ready',
    needs: ['agent', 'firewall', 'network'],
    find: ({ agent, firewall, network }) => {
      // The nodes and what policies are about come by two ways, which fail together.
      const [[, server = '', reason] = []] = found(agent, UNREACHABLE)
      if (reason === undefined) return []
      const isUnled = agent.runsAs === 'pod' && !hasKubeProxy(firewall, network)
      const finding: Finding = {
        severity: 'error',
        what: `the API server ${server} is not reachable (${reason})${isUnled ? ': this node has no rules of kube-proxy, which lead to Services, and to this one too' : ''}`,
        why: 'pods here keep their network; changes of the cluster are not followed, and an agent that has never heard it waits',
        ...(isUnled ? KUBE_PROXY : lookAt(server)),
      }
      return [finding]
    },
  }),
  check({
    name: 'api-forbidden',
    symptom: 'the agent says that the API server does not let it list, watch or patch something (403)',
    needs: ['agent', 'machine'],
    find: ({ agent, machine: { version } }) => {
      const refusals = found(agent, FORBIDDEN)
      const [[, server] = []] = refusals
      if (server === undefined) return []
      const rights = [...new Set(refusals.map(([, , right = '']) => right))]
      const finding: Finding = {
        severity: 'error',
        what: `the API server ${server} does not let the agent ${rights.join(', ')}`,
        why: 'what it may not read it does not follow: ways to other nodes, or policies, stay as they were or are not there',
        ...(agent.runsAs === 'pod'
          ? {
              advice:
                'it has the ClusterRole and its binding (by Helm: helm upgrade); the agent asks again by itself, within a minute or two',
              remedies: [command(`kubectl apply -f ${manifestOf(version)}`)],
            }
          : { advice: 'give its user the ClusterRole bramble of deploy/bramble.yaml', remedies: [] }),
      }
      return [finding]
    },
  }),
  check({
    name: 'api-credentials',
    symptom: 'the agent says that the API server does not accept its credentials (401)',
    needs: ['agent'],
    find: ({ agent }) => {
      const [[, server] = []] = found(agent, NOT_ACCEPTED)
      if (server === undefined) return []
      const finding: Finding = {
        severity: 'error',
        what: `the API server ${server} does not accept the agent's credentials`,
        why: 'changes of the cluster are not followed: the token is of another cluster, of an account that was made anew, or has ended',
        ...(agent.runsAs === 'pod'
          ? { advice: 'new pods get new tokens', remedies: [command(RESTART_PODS)] }
          : { advice: 'write new ones into the file of --kubeconfig, and restart the agent', remedies: [] }),
      }
      return [finding]
    },
  }),
]

function found({ answers }: AgentState, pattern: RegExp): RegExpExecArray[] {
  return (answers?.problems ?? []).map((problem) => pattern.exec(problem)).filter((match) => match !== null)
}

/** By its table (nftables), its chain (iptables) or its link (IPVS). */
function hasKubeProxy({ chains, legacyChains, unseenTables }: Firewall, { links }: Network): boolean {
  return (
    unseenTables.length > 0 || // it may be in there
    [...chains, ...legacyChains].some(({ table, name }) => / kube-proxy$/.test(table) || name === 'KUBE-SERVICES') ||
    links.some(({ name }) => name === 'kube-ipvs0')
  )
}

const KUBE_PROXY: { readonly advice: string; readonly remedies: readonly Remedy[] } = {
  advice: 'k3s has it inside: systemctl restart k3s-agent, on a server k3s',
  remedies: [
    command('kubectl -n kube-system get pods -l k8s-app=kube-proxy -o wide'),
    command('kubectl -n kube-system rollout restart daemonset kube-proxy'),
  ],
}

function lookAt(server: string): typeof KUBE_PROXY {
  return {
    advice:
      'any answer, "Unauthorized" too, means that it is reached; else see whether it runs (on its node: crictl ps --name kube-apiserver, or systemctl status k3s), and whether a firewall drops TCP to it',
    remedies: [command(`curl -k ${shellWord(`${server}/livez`)}`)],
  }
}

function manifestOf(version: string): string {
  return shellWord(`https://raw.githubusercontent.com/bramble-net/bramble/v${version}/deploy/bramble.yaml`)
}
