import type { ClusterNode } from '../../agent/cluster/view.ts'
import { DEFAULTS, type StateList } from './cluster-state.ts'
import { node } from './nodes.ts'

const SELF = node('pi-1', ['10.42.1.0/24', 'fd42:0:0:1::/64'], ['192.168.1.1', '2001:db8:1::1'])
const NEAR = node('pi-2', ['10.42.2.0/24', 'fd42:0:0:2::/64'], ['192.168.1.2', '2001:db8:1::2'])
const FAR = node('pi-3', ['10.42.3.0/24'], ['192.168.2.3'])

/** 32 bytes in base64, as different as their letters. */
const key = (letter: string) => `${letter.repeat(42)}A=`
/** This node's: nobody's secret. */
export const PRIVATE_KEY = 'YnJhbWJsZSBicmFtYmxlIGJyYW1ibGUgYnJhbWJsZSA='
const OUR_KEY = 'pVxD68sTQLL0MkjrBo+NgbRM+4FlpkFrTymk7za7RUs='
const withKey = (one: ClusterNode, publicKey: string, port = 51_820): ClusterNode => ({
  ...one,
  announcement: { encapsulations: ['vxlan', 'wireguard'], wireguard: { publicKey, port } },
})

const OWN = `
  blackhole 10.42.1.0/24
  blackhole fd42:0:0:1::/64`

/** While nothing else leads to the pods of others, it is not the default route that takes their packets, in the clear. */
const NEAR_SEALED = `
  blackhole 10.42.2.0/24 metric 2147483647
  blackhole fd42:0:0:2::/64 metric 2147483647`

const FAR_SEALED = `
  blackhole 10.42.3.0/24 metric 2147483647`

const WIREGUARD = `
  link bramble.wg UP mtu 1440 wireguard public-key ${OUR_KEY} listen-port 51820
  inet 10.42.1.0/32 dev bramble.wg
  inet fd42:0:0:1::/128 dev bramble.wg`

const NEAR_BY_WIREGUARD = `${NEAR_SEALED}
  peer ${key('B')} endpoint 192.168.1.2:51820 allowed-ips 10.42.2.0/24,fd42:0:0:2::/64
  10.42.2.0/24 dev bramble.wg
  fd42:0:0:2::/64 dev bramble.wg`

const FAR_BY_WIREGUARD = `${FAR_SEALED}
  peer ${key('C')} endpoint 192.168.2.3:51820 allowed-ips 10.42.3.0/24
  10.42.3.0/24 dev bramble.wg`

export const ENCRYPTED: StateList = {
  title: 'a node that encrypts',
  podCidrs: SELF.podCidrs.map(({ text }) => text),
  addresses: ['192.168.1.1/24', '2001:db8:1::1/64'],
  gateways: ['192.168.1.254', '2001:db8:1::fe'],
  settings: { ...DEFAULTS, isEncrypted: true, wireguard: { publicKey: OUR_KEY, port: 51_820, keepaliveSeconds: 0 } },
  states: [
    {
      name: 'the node is alone',
      nodes: [SELF],
      kernel: `${OWN}
        set pods4-24 { 10.42.1.0 }
        set pods6-64 { fd42:0:0:1:: }`,
    },
    {
      name: 'nobody has announced a key yet: nothing goes unencrypted',
      nodes: [SELF, NEAR],
      kernel: `${OWN} ${NEAR_SEALED}
        set pods4-24 { 10.42.1.0, 10.42.2.0 }
        set pods6-64 { fd42:0:0:1::, fd42:0:0:2:: }`,
      problems: [
        'pi-2 has announced no WireGuard key; does its agent run with --routing wireguard or --encrypt? With --cluster-dir its manifest has to have the key: see bramblectl node manifest',
      ],
    },
    {
      name: 'all have keys, on the LAN and behind the router',
      nodes: [SELF, withKey(NEAR, key('B')), withKey(FAR, key('C'))],
      kernel: `${OWN} ${WIREGUARD} ${NEAR_BY_WIREGUARD} ${FAR_BY_WIREGUARD}
        set pods4-24 { 10.42.1.0, 10.42.2.0, 10.42.3.0 }
        set pods6-64 { fd42:0:0:1::, fd42:0:0:2:: }`,
    },
    {
      name: 'a node has another key and port',
      nodes: [SELF, withKey(NEAR, key('B')), withKey(FAR, key('D'), 51_821)],
      kernel: `${OWN} ${WIREGUARD} ${NEAR_BY_WIREGUARD} ${FAR_SEALED}
        peer ${key('D')} endpoint 192.168.2.3:51821 allowed-ips 10.42.3.0/24
        10.42.3.0/24 dev bramble.wg
        set pods4-24 { 10.42.1.0, 10.42.2.0, 10.42.3.0 }
        set pods6-64 { fd42:0:0:1::, fd42:0:0:2:: }`,
    },
    {
      name: 'two have swapped their keys',
      nodes: [SELF, withKey(NEAR, key('C')), withKey(FAR, key('B'))],
      kernel: `${OWN} ${WIREGUARD} ${NEAR_SEALED} ${FAR_SEALED}
        peer ${key('C')} endpoint 192.168.1.2:51820 allowed-ips 10.42.2.0/24,fd42:0:0:2::/64
        10.42.2.0/24 dev bramble.wg
        fd42:0:0:2::/64 dev bramble.wg
        peer ${key('B')} endpoint 192.168.2.3:51820 allowed-ips 10.42.3.0/24
        10.42.3.0/24 dev bramble.wg
        set pods4-24 { 10.42.1.0, 10.42.2.0, 10.42.3.0 }
        set pods6-64 { fd42:0:0:1::, fd42:0:0:2:: }`,
    },
    {
      name: 'two have one key, as copies of one memory card have: the first by name counts',
      nodes: [SELF, withKey(NEAR, key('B')), withKey(FAR, key('B'))],
      kernel: `${OWN} ${WIREGUARD} ${NEAR_BY_WIREGUARD} ${FAR_SEALED}
        set pods4-24 { 10.42.1.0, 10.42.2.0, 10.42.3.0 }
        set pods6-64 { fd42:0:0:1::, fd42:0:0:2:: }`,
      problems: [
        'pi-3 has the WireGuard key of pi-2; remove the key file of one of them and start its agent again, which makes another',
      ],
    },
    {
      name: "a node has this node's key",
      nodes: [SELF, withKey(NEAR, OUR_KEY), withKey(FAR, key('C'))],
      kernel: `${OWN} ${WIREGUARD} ${NEAR_SEALED} ${FAR_BY_WIREGUARD}
        set pods4-24 { 10.42.1.0, 10.42.2.0, 10.42.3.0 }
        set pods6-64 { fd42:0:0:1::, fd42:0:0:2:: }`,
      problems: [
        'pi-2 has the WireGuard key of pi-1; remove the key file of one of them and start its agent again, which makes another',
      ],
    },
  ],
}
