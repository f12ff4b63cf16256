import type { NetlinkRequests } from '../kernel/netlink.ts'
import { deleteRuleLike } from '../kernel/rules.ts'
import { podRule } from './attachment.ts'

/** Rules do not go with their link. @param podNetlink in the pod's namespace; that there are none is success */
export async function deletePodRules(podNetlink: NetlinkRequests, ifname: string): Promise<void> {
  const rule = podRule(ifname)
  if (rule) await podNetlink.trySend([deleteRuleLike(4, rule), deleteRuleLike(6, rule)])
}
