import { nested, text, u8 } from '../../agent/kernel/attributes.ts'
import { Netlink } from '../../agent/kernel/netlink.ts'
import { NETLINK_PROTOCOL } from '../../agent/kernel/netlink-socket.ts'

/** Makes and deletes ipsets without the program of that name. */

// include/uapi/linux/netfilter/nfnetlink.h, ipset/ip_set.h
const NFNL_SUBSYS_IPSET = 6
const CREATE = 2
const DESTROY = 3
const ATTR = { PROTOCOL: 1, SETNAME: 2, TYPENAME: 3, REVISION: 4, FAMILY: 5, DATA: 7 } as const
/** NFPROTO_IPV4, as struct nfgenmsg has it in front. */
const IPV4 = 2

export async function createIpset(name: string): Promise<void> {
  await ask('create', CREATE, [
    text(ATTR.SETNAME, name),
    text(ATTR.TYPENAME, 'hash:net'),
    u8(ATTR.REVISION, 0),
    u8(ATTR.FAMILY, IPV4),
    nested(ATTR.DATA),
  ])
}

export async function destroyIpset(name: string): Promise<void> {
  await ask('destroy', DESTROY, [text(ATTR.SETNAME, name)])
}

/** @throws KernelError */
async function ask(verb: string, command: number, attributes: readonly Buffer[]): Promise<void> {
  const netlink = new Netlink(NETLINK_PROTOCOL.netfilter)
  try {
    const body = Buffer.concat([Buffer.from([IPV4, 0, 0, 0]), u8(ATTR.PROTOCOL, 6), ...attributes])
    const [outcome] = await netlink.trySend([
      { name: `ipset ${verb}`, type: (NFNL_SUBSYS_IPSET << 8) | command, flags: 0, body },
    ])
    if (outcome instanceof Error) throw outcome
  } finally {
    netlink.close()
  }
}
