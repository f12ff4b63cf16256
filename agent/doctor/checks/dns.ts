import { basename } from 'node:path'
import { check } from '../check.ts'
import { command } from '../finding.ts'

/** What pods inherit of the node's name resolution. */
export const DNS_CHECKS = [
  check({
    name: 'dns-loop',
    symptom: 'CoreDNS restarts again and again: "Loop … detected"',
    needs: ['dns'],
    find: ({ dns: { servers, hasUpstreamFile } }) =>
      servers.length > 0 && servers.every((server) => /^(127\.|::1$)/.test(server)) && !hasUpstreamFile
        ? [
            {
              severity: 'warning',
              what: `/etc/resolv.conf names ${servers.join(', ')} alone, which is the node itself`,
              why: "pods with the node's resolv.conf, CoreDNS among them, would ask themselves",
              advice:
                "write the real servers into a file, and name it as resolvConf in the kubelet's configuration (k3s: --resolv-conf)",
              remedies: [command('cat /etc/resolv.conf')],
            },
          ]
        : [],
  }),
  check({
    name: 'dns-search',
    symptom: 'short names of the home network resolve on a laptop, and not in pods',
    needs: ['dns'],
    find: ({ dns: { search, leasedDomains, networkFile } }) => {
      const dropped = leasedDomains.filter((domain) => !search.includes(domain))
      // systemd.network(5): a folder of that name adds to the file, wherever the file is.
      const folder = `/etc/systemd/network/${basename(networkFile ?? 'LINK.network')}.d`
      return dropped.length === 0
        ? []
        : [
            {
              severity: 'note',
              what: `DHCP gave the search domains ${dropped.join(', ')} (options 15 and 119), and /etc/resolv.conf has none of them`,
              why: 'systemd-networkd leaves them out unless it is told to; pods search what the node searches',
              remedies: [
                command(`mkdir -p ${folder} && printf '[DHCPv4]\\nUseDomains=yes\\n' > ${folder}/domains.conf`),
                command('networkctl reload'),
              ],
            },
          ]
    },
  }),
]
