import { CNI_ERROR, CniError } from './errors.ts'
import type { CniResult, CniVersion, NetworkConfig } from './network-config.ts'

/** What ADD made, as far as a result tells of it. */
export interface AttachmentSummary {
  readonly mtuBytes: number
  readonly host: { readonly linkName: string; readonly mac: string }
  readonly pod: { readonly linkName: string; readonly mac: string; readonly netns: string }
  /** Each with the gateway of its family. */
  readonly addresses: readonly { readonly cidr: string; readonly gateway: string }[]
}

/**
 * The result of ADD in the configuration's version, added to what came before us in the chain. Pure.
 * https://github.com/containernetworking/cni/blob/spec-v1.1.0/SPEC.md#add-success
 */
export function renderResult(config: NetworkConfig, attachment: AttachmentSummary): object {
  const { cniVersion, prevResult = {} } = config
  const previous = {
    interfaces: prevResult.interfaces ?? [],
    ips: prevResult.ips ?? [],
    routes: prevResult.routes ?? [],
  }
  const mtu = cniVersion === '1.1.0' ? { mtu: attachment.mtuBytes } : {}
  const { host, pod } = attachment
  const podInterface = previous.interfaces.length + 1
  const dns = config.dns ?? prevResult.dns
  return {
    cniVersion,
    interfaces: [
      ...previous.interfaces,
      { name: host.linkName, mac: host.mac, ...mtu },
      { name: pod.linkName, mac: pod.mac, ...mtu, sandbox: pod.netns },
    ],
    ips: [
      ...previous.ips,
      ...attachment.addresses.map(({ cidr, gateway }) => ({ address: cidr, gateway, interface: podInterface })),
    ].map((ip) => withVersion(ip, cniVersion)),
    routes: [
      ...previous.routes,
      ...attachment.addresses.map(({ cidr, gateway }) => ({ dst: isIpv6(cidr) ? '::/0' : '0.0.0.0/0', gw: gateway })),
    ],
    ...(dns && Object.keys(dns).length > 0 && { dns }),
  }
}

/** https://github.com/containernetworking/cni/blob/spec-v1.1.0/SPEC.md#error */
export function renderError(cniVersion: CniVersion, error: unknown): object {
  if (error instanceof CniError)
    return { cniVersion, code: error.code, msg: error.message, ...(error.details && { details: error.details }) }
  return {
    cniVersion,
    code: CNI_ERROR.internal,
    msg: 'The agent failed in a way that it should not have',
    details: `${error instanceof Error ? error.message : error}; see the log of bramble-agent`,
  }
}

/** Tells whether a previous result shows the pod's interface with all its addresses, as ADD reported them. */
export function missingFromResult(result: CniResult, attachment: AttachmentSummary): string[] {
  const names = (result.interfaces ?? []).map(({ name }) => name)
  const addresses = (result.ips ?? []).map(({ address }) => address)
  return [
    ...(names.includes(attachment.pod.linkName) ? [] : [`interface ${attachment.pod.linkName}`]),
    ...attachment.addresses.filter(({ cidr }) => !addresses.includes(cidr)).map(({ cidr }) => `address ${cidr}`),
  ]
}

/** `ips[].version` is there up to 0.4.0, and gone from 1.0.0 on. */
function withVersion(ip: Record<string, unknown> & { address: string }, cniVersion: CniVersion) {
  const { version: _, ...rest } = ip
  if (cniVersion === '1.0.0' || cniVersion === '1.1.0') return rest
  return { version: isIpv6(ip.address) ? '6' : '4', ...rest }
}

function isIpv6(cidr: string): boolean {
  return cidr.includes(':')
}
