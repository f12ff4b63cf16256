import type { AgentState } from '../../../../agent/doctor/facts.ts'
import { HEALTHY } from '../healthy.ts'
import type { Case } from './case.ts'

const SERVER = 'the API server https://10.96.0.1:443'
const UNREACHABLE = [
  `${SERVER}: not reachable (ETIMEDOUT, no connection within 10 s), for more than 1 min; the last view stays in force`,
  `${SERVER}: not reachable (ECONNREFUSED), for more than 1 min; what is known of pods and policies stays in force`,
]
const FORBIDDEN = ['get nodes', 'list pods', 'list pods'].map((right) => {
  const [verb, resource] = right.split(' ')
  return `${SERVER}: does not let us ${right} (403): give a ClusterRole with the verb "${verb}" on "${resource}" to our user: ${resource} is forbidden: User "system:serviceaccount:kube-system:bramble" cannot ${right}`
})
const KUBE_PROXY = { ...HEALTHY.firewall, chains: [{ table: 'ip kube-proxy', name: 'services' }] }
const IPTABLES = { ...HEALTHY.firewall, chains: [{ table: 'ip nat', name: 'KUBE-SERVICES' }] }
const CURL = 'curl -k https://10.96.0.1:443/livez'

export const API_SERVER_CASES: readonly Case[] = [
  {
    title: 'an API server that does not answer is one finding, though two things miss it',
    check: 'api-unreachable',
    facts: { agent: saying(UNREACHABLE, 'unit') },
    says: [['error', /https:\/\/10\.96\.0\.1:443 is not reachable \(ETIMEDOUT, no connection within 10 s\)$/]],
    commands: [CURL],
  },
  {
    title: 'without kube-proxy the Service of the API server leads nowhere',
    check: 'api-unreachable',
    facts: { agent: saying(UNREACHABLE, 'pod') },
    says: [['error', /: this node has no rules of kube-proxy/]],
    commands: [
      'kubectl -n kube-system get pods -l k8s-app=kube-proxy -o wide',
      'kubectl -n kube-system rollout restart daemonset kube-proxy',
    ],
  },
  ...[
    { how: 'nftables', facts: { firewall: KUBE_PROXY } },
    { how: 'iptables', facts: { firewall: IPTABLES } },
    {
      how: 'IPVS',
      facts: {
        network: {
          ...HEALTHY.network,
          links: HEALTHY.network.links.map((link) => ({ ...link, name: 'kube-ipvs0' })),
        },
      },
    },
  ].map(({ how, facts }) => ({
    title: `where kube-proxy has its rules (${how}) it is not suspected`,
    check: 'api-unreachable',
    facts: { agent: saying(UNREACHABLE, 'pod'), ...facts },
    says: [['error', /no connection within 10 s\)$/] as const],
    commands: [CURL],
  })),
  {
    title: 'rights that somebody took away are one finding, with the command that gives them back',
    check: 'api-forbidden',
    facts: { agent: saying(FORBIDDEN, 'pod') },
    says: [['error', /does not let the agent get nodes, list pods$/]],
    commands: ['kubectl apply -f https://raw.githubusercontent.com/bramble-net/bramble/v0.1.0/deploy/bramble.yaml'],
  },
  {
    title: 'what a webhook denies is no right that is missing',
    check: 'api-forbidden',
    facts: {
      agent: saying(
        [`${SERVER}: does not let us patch nodes (403): admission webhook "x" denied the request: no`],
        'pod',
      ),
    },
    says: [],
  },
  {
    title: 'credentials that are not accepted',
    check: 'api-credentials',
    facts: {
      agent: saying([`${SERVER}: does not accept our credentials (401): the token has ended; make a new one`], 'pod'),
    },
    says: [['error', /does not accept the agent's credentials/]],
    commands: ['kubectl -n kube-system rollout restart daemonset bramble'],
  },
]

function saying(problems: readonly string[], runsAs: AgentState['runsAs']): AgentState {
  const { agent } = HEALTHY
  return { ...agent, runsAs, answers: { ...(agent.answers as NonNullable<typeof agent.answers>), problems } }
}
