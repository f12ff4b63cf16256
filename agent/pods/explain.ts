import { CNI_ERROR, CniError } from '../../plugin/errors.ts'
import { KernelError } from '../kernel/errors.ts'
import { NftablesError } from '../kernel/nftables-error.ts'

/**
 * A failure in the words of the person who has to do something about it.
 * @param what `set up eth0 of container …`
 */
export function explain(error: unknown, what: string): unknown {
  if (error instanceof CniError) return error
  if (error instanceof NftablesError)
    return new CniError(
      CNI_ERROR.kernel,
      `Cannot ${what}: ${error.message}`,
      'no pod starts before its policy is in the kernel; see bramblectl status',
      { cause: error },
    )
  if (!(error instanceof KernelError)) return error
  return new CniError(CNI_ERROR.kernel, `Cannot ${what}: ${error.message}`, remedy(error), { cause: error })
}

function remedy({ errno, request }: KernelError): string {
  switch (errno) {
    case 'EEXIST':
      return `another program has made the same: look with ip ${request.split(' ').slice(0, 1)} show, and remove it`
    case 'EPERM':
      return 'the agent needs CAP_NET_ADMIN and CAP_SYS_ADMIN'
    case 'EROFS':
      return "kernel settings are read-only in the agent's container: mount the node's /proc/sys/net and name it by --sysctl-dir"
    case 'EOPNOTSUPP':
      return 'the kernel lacks something that is needed; try: modprobe veth'
    case 'ENODEV':
      return 'the link went away while it was set up: was the namespace deleted?'
    default:
      return 'see the log of bramble-agent and of the kernel (dmesg)'
  }
}
