import { HEALTHY, place } from '../healthy.ts'
import type { Case } from './case.ts'

const { agent } = HEALTHY
const answers = agent.answers as NonNullable<typeof agent.answers>
const away = { ...agent, answers: undefined, refusal: 'no agent listens on /run/bramble/agent.sock' }

export const AGENT_CASES: readonly Case[] = [
  {
    title: 'an agent that does not run, with what it said last',
    check: 'agent-away',
    facts: { agent: { ...away, lastWords: ['bramble-agent: --pod-cidr is missing'] } },
    says: [['error', /is away: no agent listens on .*agent\.sock/]],
    commands: ['systemctl status bramble-agent'],
  },
  {
    title: 'whoever is not root is told to be, and not that the agent is away',
    check: 'agent-away',
    facts: { agent: { ...away, isForbidden: true } },
    says: [],
  },
  {
    title: 'whoever is not root',
    check: 'not-root',
    facts: { agent: { ...away, isForbidden: true } },
    says: [['warning', /answer root alone/]],
    commands: ['sudo bramblectl doctor'],
  },
  {
    title: 'an agent that waits for its pod CIDR says why',
    check: 'agent-waits',
    facts: {
      agent: {
        ...agent,
        answers: {
          ...answers,
          isServing: false,
          problems: ['the agent does not serve yet', 'Node pi-1: has no podCIDR'],
        },
      },
    },
    says: [['error', /does not serve yet: Node pi-1: has no podCIDR/]],
  },
  {
    title: 'what the agent complains of',
    check: 'agent-problems',
    facts: { agent: { ...agent, answers: { ...answers, problems: ['no address is free in 10.42.1.0/24', 'second'] } } },
    says: [
      ['error', /no address is free/],
      ['error', /second/],
    ],
  },
  {
    title: 'what another check says, with a command, is said once',
    check: 'agent-problems',
    facts: {
      agent: {
        ...agent,
        answers: {
          ...answers,
          problems: [
            'net/ipv4/ip_forward is 0: the node drops what pods send and get',
            '/etc/cni/net.d/05-flannel.conflist comes before 10-bramble.conflist: pods get their network from "flannel"',
            'the API server https://10.96.0.1:443: not reachable (ECONNREFUSED), for more than 1 min; the last view stays in force',
            'the pod CIDR 10.42.1.0/24 of pi-1 overlaps 10.42.1.0/25, the network on docker0; give the pods others',
            '10.42.0.0/16, the network on docker0 of this node, overlaps the pod CIDRs of pi-1, pi-2; remove docker0 if it is a leftover, or give the pods of the cluster others',
            'the pod CIDR 10.42.1.0/24 of pi-3 overlaps 10.42.1.0/24 of pi-2; give one of them another',
          ],
        },
      },
    },
    says: [],
  },
  {
    title: 'rules that somebody has flushed, and that are there again',
    check: 'rules-changed',
    facts: {
      agent: {
        ...agent,
        answers: {
          ...answers,
          rulesRepaired: [{ text: 'the table of policies (the table is gone)', secondsAgo: 40 }],
        },
      },
    },
    says: [['warning', /the table is gone/]],
  },
  {
    title: 'leases and kernel that differ',
    check: 'leases-differ',
    facts: { agent: { ...agent, answers: { ...answers, differences: ['10.42.1.7: no route', 'another'] } } },
    says: [['warning', /^2 differences .*10\.42\.1\.7: no route/]],
    commands: ['bramblectl ipam check'],
  },
  {
    title: 'containers that went while the agent was away',
    check: 'pending-dels',
    facts: { agent: { ...away, pendingDels: 3 } },
    says: [['note', /^3 containers went/]],
  },
  {
    title: 'DELs that wait for a moment while it is there are no finding',
    check: 'pending-dels',
    facts: { agent: { ...agent, pendingDels: 1 } },
    says: [],
  },
  {
    title: 'a plugin and an agent of an older version',
    check: 'version-skew',
    facts: { ...place({ pluginVersion: '0.0.9' }), agent: { ...agent, answers: { ...answers, version: '0.0.8' } } },
    says: [['warning', /the agent is 0\.0\.8, the plugin \/opt\/cni\/bin\/bramble is 0\.0\.9; bramblectl is 0\.1\.0/]],
  },
]
