import { ADDRESS_BITS, contains, familyOf, parseCidr } from '../../ipam/address.ts'
import { type Lease, type LeaseOwner, type Leases, PoolExhaustedError } from '../../ipam/leases.ts'
import { CNI_ERROR, CniError } from '../../plugin/errors.ts'
import type { CniRequest } from '../../plugin/request.ts'
import type { AttachmentSummary } from '../../plugin/result.ts'
import { networkMark } from '../alias.ts'
import { faultPoint } from '../fault.ts'
import { claimPorts } from '../hostports/claim.ts'
import { isOwnNetns, type Netns, NetnsError, openNetns } from '../kernel/netns.ts'
import { type Attachment, desiredAttachment, GATEWAY, MTU_BYTES_MIN_IPV6 } from './attachment.ts'
import { explain } from './explain.ts'
import type { PodNetwork } from './network.ts'
import { wire } from './wire.ts'

export type AttachmentRequest = Extract<CniRequest, { command: 'ADD' | 'CHECK' }>

/**
 * Gives a pod its address, its links and its routes; when this returns, they are in the kernel. Whatever fails, or
 * when nobody waits any more (`signal`), all of it is undone.
 * @throws CniError
 */
export async function addPod(
  network: PodNetwork,
  request: AttachmentRequest,
  signal: AbortSignal,
): Promise<AttachmentSummary> {
  const { containerId, ifname } = request
  if (!request.allowsOwnNetns && isOwnNetns(request.netns))
    throw new CniError(
      CNI_ERROR.invalidNamespace,
      `CNI_NETNS ${request.netns} is the node's own network namespace`,
      'a container on the host network needs no CNI; CNI_NETNS_OVERRIDE=1 allows it all the same',
    )
  if (network.leases.get(containerId, ifname))
    throw new CniError(CNI_ERROR.alreadyExists, `${ifname} of container ${containerId} exists already`, 'DEL it first')

  const netns = openPodNetns(request.netns)
  try {
    const mtuBytes = request.config.mtuBytes || (await network.mtuBytes())
    const { pod, podUid } = request
    const { name, hostPorts } = request.config
    const owner = { containerId, ifname, network: networkMark(name), pod, ...(podUid && { podUid }) }
    const lease = reserve(network, hostPorts ? { ...owner, hostPorts } : owner)
    const { addresses } = lease
    try {
      if (mtuBytes < MTU_BYTES_MIN_IPV6 && addresses.some((address) => familyOf(address) === 6))
        throw new CniError(
          CNI_ERROR.invalidConfig,
          request.config.mtuBytes ? `"mtu" is ${mtuBytes}` : `the MTU for pods on this node is ${mtuBytes}`,
          `IPv6 needs at least ${MTU_BYTES_MIN_IPV6} bytes; see "mtu" in the network configuration, --mtu of bramble-agent, and the uplinks: ip link`,
        )
      faultPoint('add:reserved')
      const attachment = desiredAttachment({ ...lease, mtuBytes, hasIpv6: network.hasIpv6 })
      await network.gate.admit(lease, signal)
      faultPoint('add:admitted')
      await network.ports.publish(lease)
      faultPoint('add:published')
      await wire(network, netns, attachment, lease, signal)
      return summarize(attachment, addresses, request.netns)
    } catch (error) {
      network.leases.release(containerId, ifname)
      network.gate.forget(lease)
      await network.ports.withdraw(lease)
      throw explain(error, `set up ${ifname} of container ${containerId}`)
    }
  } finally {
    netns.close()
  }
}

/** What a result tells of an attachment. */
export function summarize(attachment: Attachment, addresses: readonly string[], netns: string): AttachmentSummary {
  return {
    mtuBytes: attachment.mtuBytes,
    host: attachment.host,
    pod: { ...attachment.pod, netns },
    addresses: addresses.map((address) => {
      const family = familyOf(address)
      return { cidr: `${address}/${ADDRESS_BITS[family]}`, gateway: GATEWAY[family] }
    }),
  }
}

/** @throws CniError, also when the path leads to no network namespace */
export function openPodNetns(path: string): Netns {
  try {
    return openNetns(path)
  } catch (error) {
    if (!(error instanceof NetnsError)) throw error
    const remedy =
      error.reason === 'forbidden'
        ? 'the agent needs CAP_SYS_ADMIN, and for paths below /proc CAP_SYS_PTRACE'
        : 'CNI_NETNS must be the path of a network namespace that exists, below /run/netns where the agent is in a container'
    throw new CniError(CNI_ERROR.invalidEnvironment, `CNI_NETNS: ${error.message}`, remedy, { cause: error })
  }
}

/** @throws CniError, which names who holds the addresses ("try again later"), or one of the ports */
function reserve({ leases, tunnelPorts }: PodNetwork, owner: LeaseOwner): Lease {
  try {
    if (!owner.hostPorts) return leases.reserve(owner)
    const families = leases.pools.map(({ cidr }) => cidr.family)
    return leases.reserve({ ...owner, hostPorts: claimPorts(owner, { held: leases.list(), families, tunnelPorts }) })
  } catch (error) {
    if (error instanceof PoolExhaustedError)
      throw new CniError(CNI_ERROR.tryAgainLater, error.message, holders(leases, error.cidr))
    throw error
  }
}

/** Pods that were there before the node got this CIDR have addresses elsewhere: no room comes of deleting them. */
function holders(leases: Leases, cidrText: string): string {
  const cidr = parseCidr(cidrText)
  const held = leases.list().filter(({ addresses }) => addresses.some((address) => contains(cidr, address)))
  const shown = held.slice(0, 5).map((lease) => `${lease.pod || lease.containerId} (${lease.addresses.join(', ')})`)
  const rest = held.length > shown.length ? ` and ${held.length - shown.length} more` : ''
  return `held by ${shown.join(', ')}${rest}; delete pods or give the node a larger pod CIDR; see: bramblectl ipam`
}
