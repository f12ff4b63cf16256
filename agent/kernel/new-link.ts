import { attribute, nested, text, u32 } from './attributes.ts'
import { linkInfo, RTM_NEWLINK } from './links.ts'
import { parseMac } from './mac.ts'
import { type NetlinkRequest, NLM_F_CREATE, NLM_F_EXCL } from './message.ts'

// include/uapi/linux/if_link.h
const IFLA_ADDRESS = 1
const IFLA_IFNAME = 3
const IFLA_MTU = 4
const IFLA_LINKINFO = 18
const IFLA_INFO_KIND = 1
const IFLA_INFO_DATA = 2

/** What a link that is yet to be made has, of whatever kind. */
export interface NewLink {
  readonly name: string
  readonly mtuBytes: number
  /** A link that carries packets and no frames (ipip, gre, wireguard) has none. */
  readonly mac?: string
  /** Further attributes that links of any kind may have (IFLA_*). */
  readonly attributes?: readonly Buffer[]
}

/**
 * Makes a link of the kind; the name must be free.
 * @param words what is particular to this one, as `ip` has it, for errors
 * @param data the same for the kernel (IFLA_INFO_DATA)
 */
export function newLink(
  link: NewLink & { readonly kind: string; readonly words?: string },
  ...data: readonly Buffer[]
): NetlinkRequest {
  return {
    name: `link add ${link.name} type ${link.kind}${link.words ? ` ${link.words}` : ''}`,
    type: RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    body: Buffer.concat([
      newLinkHead(link),
      nested(
        IFLA_LINKINFO,
        attribute(IFLA_INFO_KIND, Buffer.from(link.kind)),
        ...(data.length > 0 ? [nested(IFLA_INFO_DATA, ...data)] : []),
      ),
    ]),
  }
}

/** The message but for the kind. The other end of a veth pair is such a piece inside of the message. */
export function newLinkHead({ name, mtuBytes, mac, attributes = [] }: NewLink): Buffer {
  return Buffer.concat([
    linkInfo({}),
    text(IFLA_IFNAME, name),
    u32(IFLA_MTU, mtuBytes),
    ...(mac === undefined ? [] : [attribute(IFLA_ADDRESS, parseMac(mac))]),
    ...attributes,
  ])
}
