import type { Firewall } from '../facts.ts'

/** Why nothing found in the rules of iptables does not mean that there is nothing. Pure. */
export function unseenRules({ unseenTables }: Firewall): string | undefined {
  if (unseenTables.length === 0) return undefined
  return `iptables-legacy has made ${unseenTables.join(', ')}, and there is no iptables-legacy-save here that shows what is in them`
}
