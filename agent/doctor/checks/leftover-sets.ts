import { check } from '../check.ts'
import { command } from '../finding.ts'
import { few, isConfigured, isInUse, LEAVERS, UNCONFIGURED } from './leavers.ts'

/** Sets that rules of iptables looked into: they do nothing by themselves, and hold memory. */
export const LEFTOVER_SETS = check({
  name: 'leftover-sets',
  symptom: 'after a migration: `ipset list` has sets of the network before',
  needs: ['firewall', 'cni'],
  find: ({ firewall: { ipsets }, cni }) =>
    LEAVERS.flatMap((leaver) => {
      const found = ipsets.filter((name) => leaver.set?.test(name))
      if (!leaver.set || found.length === 0 || isInUse(leaver, cni)) return []
      return [
        {
          severity: 'note',
          what: `${leaver.name} has left ${found.length === 1 ? 'the ipset' : `${found.length} ipsets`} ${few(found)}`,
          why: 'they hold memory; what still looks into one is named as rules that are left, and goes first',
          remedies: [command(`ipset list -n | grep -E '${leaver.set.source}' | xargs -rn1 ipset destroy`)],
        },
      ]
    }),
  doubt: ({ firewall: { ipsets }, cni }) =>
    !isConfigured(cni) && ipsets.some((name) => LEAVERS.some(({ set }) => set?.test(name))) ? UNCONFIGURED : undefined,
})
