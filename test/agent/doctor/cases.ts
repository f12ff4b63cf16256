import { AGENT_CASES } from './cases/agent.ts'
import { API_SERVER_CASES } from './cases/api-server.ts'
import type { Case } from './cases/case.ts'
import { CNI_CASES } from './cases/cni.ts'
import { DNS_CASES } from './cases/dns.ts'
import { FIREWALL_CASES } from './cases/firewall.ts'
import { KERNEL_CASES } from './cases/kernel.ts'
import { LEFTOVERS_CASES } from './cases/leftovers.ts'
import { MACHINE_CASES } from './cases/machine.ts'
import { NETWORK_CASES } from './cases/network.ts'
import { PATHS_CASES } from './cases/paths.ts'
import { SETTINGS_CASES } from './cases/settings.ts'
import { STORAGE_CASES } from './cases/storage.ts'

/** As the checks are: a file per subject. */
export const CASES: readonly Case[] = [
  ...AGENT_CASES,
  ...API_SERVER_CASES,
  ...CNI_CASES,
  ...DNS_CASES,
  ...FIREWALL_CASES,
  ...KERNEL_CASES,
  ...LEFTOVERS_CASES,
  ...MACHINE_CASES,
  ...NETWORK_CASES,
  ...PATHS_CASES,
  ...SETTINGS_CASES,
  ...STORAGE_CASES,
]
