import { check } from '../check.ts'
import { command } from '../finding.ts'
import { few, isConfigured, isInUse, LEAVERS, UNCONFIGURED } from './leavers.ts'

/** Calico has one for each block of addresses of the node: what no pod has goes nowhere. No link takes it along. */
export const LEFTOVER_ROUTES = check({
  name: 'leftover-routes',
  symptom: 'after a migration: pods of some nodes are not reached from one node, and `ip route` there says `blackhole`',
  needs: ['network', 'cni'],
  find: ({ network: { blackholes }, cni }) =>
    LEAVERS.flatMap((leaver) => {
      const found = blackholes.filter(({ protocol }) => leaver.protocols?.includes(protocol))
      if (found.length === 0 || isInUse(leaver, cni)) return []
      return [
        {
          severity: 'warning',
          what: `${leaver.name} has left routes into nothing: ${few(found.map(({ destination }) => destination))}`,
          why: 'what is sent there is dropped, where no route of ours is longer',
          advice: 'a reboot takes them all; if BIRD routes something else on this node, leave its own',
          remedies: found
            .slice(0, 20)
            .map(({ destination, protocol }) => command(`ip route delete blackhole ${destination} proto ${protocol}`)),
        },
      ]
    }),
  doubt: ({ network: { blackholes }, cni }) =>
    !isConfigured(cni) &&
    blackholes.some(({ protocol }) => LEAVERS.some(({ protocols }) => protocols?.includes(protocol)))
      ? UNCONFIGURED
      : undefined,
})

/** They come before the main table, whatever that says. */
export const LEFTOVER_ROUTING_RULES = check({
  name: 'leftover-routing-rules',
  symptom: 'after a migration: `ip route get` names another way than `ip route show`',
  needs: ['network', 'cni'],
  find: ({ network: { rules }, cni }) =>
    LEAVERS.flatMap((leaver) => {
      const found = rules.filter((one) => leaver.rule?.(one))
      if (found.length === 0 || isInUse(leaver, cni)) return []
      return [
        {
          severity: 'warning',
          what: `${leaver.name} has left rules that send packets to other tables of routes: ${few(found.map(({ priority, table }) => `${table} (priority ${priority})`))}`,
          why: 'routes that are there come before ours, and before those of the node',
          advice: 'a reboot takes them all; if another program has a table of this number, leave them',
          remedies: found
            .slice(0, 20)
            .map(({ family, priority, table }) =>
              command(`ip ${family === 6 ? '-6 ' : ''}rule delete priority ${priority} table ${table}`),
            ),
        },
      ]
    }),
  doubt: ({ network: { rules }, cni }) =>
    !isConfigured(cni) && rules.some((one) => LEAVERS.some(({ rule }) => rule?.(one))) ? UNCONFIGURED : undefined,
})
