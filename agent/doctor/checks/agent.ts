import { check } from '../check.ts'
import { command } from '../finding.ts'
import { isOfApiServer } from './api-server.ts'
import { sharedCidr } from './cidrs.ts'

/** What another check says of the same thing, with a command that mends it (agent/forwarding.ts, agent/install/installation.ts, agent/desired/overlaps.ts). */
const TOLD_BETTER =
  /^(net\/(ipv4\/ip_forward|ipv6\/conf\/all\/forwarding) is |\/etc\/cni\/net\.d\/\S+ comes before )|^(the pod CIDR \S+ of \S+ overlaps )?\S+, the network on /

/** The agent, and what it says of itself. Pure, as are all checks. */
export const AGENT_CHECKS = [
  check({
    name: 'agent-away',
    symptom: 'new pods hang in ContainerCreating; `bramblectl` says that no agent listens',
    needs: ['agent'],
    find: ({ agent }) =>
      agent.answers || agent.isForbidden
        ? []
        : [
            {
              severity: 'error',
              what: `the agent is away: ${agent.refusal}`,
              why: 'pods that run keep their network; none can start, and what changes in the cluster is not followed',
              advice:
                agent.lastWords.length > 0
                  ? `its last words: ${agent.lastWords.join(' | ')}`
                  : 'nothing of its log was found on this node',
              remedies: [command(agent.logCommand)],
            },
          ],
  }),
  check({
    name: 'not-root',
    symptom: '`bramblectl doctor` finds out little',
    needs: ['agent'],
    find: ({ agent }) =>
      agent.isForbidden
        ? [
            {
              severity: 'warning',
              what: 'the agent and the kernel answer root alone',
              why: 'most of what follows could not be looked at',
              remedies: [command('sudo bramblectl doctor')],
            },
          ]
        : [],
  }),
  check({
    name: 'agent-waits',
    symptom: 'the agent runs, but the node does not get Ready',
    needs: ['agent'],
    find: ({ agent: { answers, logCommand } }) =>
      answers && !answers.isServing
        ? [
            {
              severity: 'error',
              what: `the agent does not serve yet: ${answers.problems.slice(1).join('; ') || 'it waits for its pod CIDR'}`,
              why: 'pods cannot start on this node before it does',
              remedies: [command(logCommand)],
            },
          ]
        : [],
  }),
  check({
    name: 'agent-problems',
    symptom: '`bramblectl status` ends with exit code 1',
    needs: ['agent'],
    find: ({ agent: { answers } }) =>
      (answers?.isServing ? answers.problems : [])
        .filter((problem) => !TOLD_BETTER.test(problem))
        .filter((problem) => !isOfApiServer(problem) && sharedCidr(problem) === undefined)
        .map((problem) => ({
          severity: 'error',
          what: problem,
          why: 'so says the agent, which tries again by itself: bramblectl status',
          remedies: [],
        })),
  }),
  check({
    name: 'rules-changed',
    symptom: 'Events DriftRepaired; connections that break off now and then, on one node',
    needs: ['agent'],
    find: ({ agent: { answers } }) =>
      (answers?.rulesRepaired ?? []).map(({ text, secondsAgo }) => ({
        severity: 'warning',
        what: `another program has changed ${text}, ${secondsAgo} s ago; it is whole again`,
        why: 'what flushes all rules takes those of policies and of Services along; the agent puts back its own alone',
        advice:
          'find what does that: a start of nftables.service with "flush ruleset" in its file, a script, a firewall that is reloaded; it shall flush its own tables only',
        remedies: [command("grep -rn 'flush ruleset' /etc/nftables* /etc/network /etc/systemd/system")],
      })),
  }),
  check({
    name: 'leases-differ',
    symptom: 'a pod has no network though it runs; addresses run out too early',
    needs: ['agent'],
    find: ({ agent: { answers } }) =>
      answers && answers.differences.length > 0
        ? [
            {
              severity: 'warning',
              what: `${answers.differences.length} differences between what the agent has given out and what is in the kernel, the first: ${answers.differences[0]}`,
              why: 'somebody has changed links or routes of pods; the agent repairs what it can within minutes',
              remedies: [command('bramblectl ipam check')],
            },
          ]
        : [],
  }),
  check({
    name: 'pending-dels',
    symptom: 'the addresses of pods that are gone are not free',
    needs: ['agent'],
    find: ({ agent: { answers, pendingDels } }) =>
      !answers && pendingDels > 0
        ? [
            {
              severity: 'note',
              what: `${pendingDels} containers went while the agent was away`,
              why: 'they ended well; the next agent takes their links and gives their addresses free',
              remedies: [],
            },
          ]
        : [],
  }),
  check({
    name: 'version-skew',
    symptom: 'odd refusals after an upgrade',
    needs: ['agent', 'machine', 'cni'],
    find: ({ agent: { answers }, machine, cni }) => {
      const plugins = cni.places.flatMap(({ binDir, pluginVersion }) =>
        pluginVersion === undefined ? [] : [{ what: `the plugin ${binDir}/bramble`, version: pluginVersion }],
      )
      const others = [...(answers ? [{ what: 'the agent', version: answers.version }] : []), ...plugins]
      const old = others.filter(({ version }) => version !== machine.version)
      return old.length === 0
        ? []
        : [
            {
              severity: 'warning',
              what: `${old.map(({ what, version }) => `${what} is ${version}`).join(', ')}; bramblectl is ${machine.version}`,
              why: 'an upgrade has stopped half way; neighbouring versions work together, others may not',
              advice: 'restart the agent, which puts its own plugin in place, or finish the upgrade (docs/upgrade.md)',
              remedies: [],
            },
          ]
    },
  }),
]
