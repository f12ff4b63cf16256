import type { Check } from './check.ts'
import { AGENT_CHECKS } from './checks/agent.ts'
import { API_SERVER_CHECKS } from './checks/api-server.ts'
import { CNI_CHECKS } from './checks/cni.ts'
import { DNS_CHECKS } from './checks/dns.ts'
import { FIREWALL_CHECKS } from './checks/firewall.ts'
import { KERNEL_CHECKS } from './checks/kernel.ts'
import { LEFTOVER_CHECKS } from './checks/leftovers.ts'
import { MACHINE_CHECKS } from './checks/machine.ts'
import { NETWORK_CHECKS } from './checks/network.ts'
import { PATH_CHECKS } from './checks/paths.ts'
import { SETTINGS_CHECKS } from './checks/settings.ts'
import { STORAGE_CHECKS } from './checks/storage.ts'

/** All that the doctor looks at, in the order in which a person would. */
export const CHECKS: readonly Check[] = [
  ...AGENT_CHECKS,
  ...API_SERVER_CHECKS,
  ...CNI_CHECKS,
  ...KERNEL_CHECKS,
  ...FIREWALL_CHECKS,
  ...SETTINGS_CHECKS,
  ...NETWORK_CHECKS,
  ...LEFTOVER_CHECKS,
  ...PATH_CHECKS,
  ...DNS_CHECKS,
  ...MACHINE_CHECKS,
  ...STORAGE_CHECKS,
]
