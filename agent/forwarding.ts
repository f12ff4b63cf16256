import { existsSync, readdirSync } from 'node:fs'
import type { Logger } from 'pino'
import type { Family } from '../ipam/address.ts'
import { getSysctl, putSysctl } from './kernel/sysctl.ts'

const isUplink = (link: string) => !['all', 'default', 'lo'].includes(link)

/**
 * A node that carries pods' packets is a router. These settings are the node's, not ours: they are set once, where
 * they are not set already, with a line in the log, and stay when the agent goes.
 * @throws KernelError when /proc/sys is read-only
 */
export function enableForwarding(families: readonly Family[], log: Logger): void {
  if (families.includes(4)) ensure('ipv4/ip_forward', '1', log)
  if (!families.includes(6) || getSysctl('ipv6/conf/all/forwarding') === '1') return
  // A router ignores router advertisements (accept_ra=1 means "unless forwarding"): an uplink that lives by them
  // would lose its default route.
  for (const link of readdirSync('/proc/sys/net/ipv6/conf'))
    if (isUplink(link) && getSysctl(`ipv6/conf/${link}/accept_ra`) === '1')
      ensure(`ipv6/conf/${link}/accept_ra`, '2', log)
  ensure('ipv6/conf/all/forwarding', '1', log)
}

/** What somebody has undone since, for people. */
export function forwardingProblems(families: readonly Family[]): string[] {
  return families.flatMap((family) => {
    const key = family === 4 ? 'ipv4/ip_forward' : 'ipv6/conf/all/forwarding'
    const value = getSysctl(key)
    if (value === '1') return []
    return `net/${key} is ${value ?? 'missing'}: the node drops what pods send and get; find what sets it (grep -r ${key.slice(key.lastIndexOf('/') + 1)} /etc/sysctl.d /etc/sysctl.conf), then: sysctl -w net/${key}=1`
  })
}

/** Which of these settings are in force, whoever made them: `net/ipv4/ip_forward=1`. */
export function forwardingSettings(): string[] {
  const links = existsSync('/proc/sys/net/ipv6') ? readdirSync('/proc/sys/net/ipv6/conf').filter(isUplink) : []
  const settings = [
    ['ipv4/ip_forward', '1'],
    ['ipv6/conf/all/forwarding', '1'],
    ...links.map((link) => [`ipv6/conf/${link}/accept_ra`, '2']),
  ]
  return settings.flatMap(([key = '', value]) => (getSysctl(key) === value ? [`net/${key}=${value}`] : []))
}

function ensure(key: string, value: string, log: Logger): void {
  const before = getSysctl(key)
  if (before === value) return
  putSysctl({ key, value })
  log.warn({ sysctl: `net/${key}`, before, value }, 'changed a setting of the node: pods need it')
}
