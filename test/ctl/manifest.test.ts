import t from 'tap'
import { formatNodeObject, parseNodeObject } from '../../agent/cluster/node-object.ts'
import type { ClusterNode } from '../../agent/cluster/view.ts'
import { parseOne } from '../../agent/cluster/yaml.ts'
import { renderManifest } from '../../ctl/manifest.ts'
import { parseCidr } from '../../ipam/address.ts'

const NODE: ClusterNode = {
  name: 'pi-4',
  podCidrs: [parseCidr('10.42.4.0/24'), parseCidr('fd42:0:0:4::/64')],
  addresses: ['192.168.1.4', 'fd00::4'],
  announcement: {
    encapsulations: ['vxlan', 'wireguard'],
    wireguard: { publicKey: 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=', port: 51820 },
  },
}

t.test('a manifest is written as people write them', async (t) => {
  t.equal(
    renderManifest(formatNodeObject(NODE)),
    `apiVersion: v1
kind: Node
metadata:
  name: 'pi-4'
  annotations:
    bramble.dev/node: '{"encapsulations":["vxlan","wireguard"],"wireguard":{"publicKey":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","port":51820}}'
spec:
  podCIDRs:
    - '10.42.4.0/24'
    - 'fd42:0:0:4::/64'
status:
  addresses:
    - { type: InternalIP, address: '192.168.1.4' }
    - { type: InternalIP, address: 'fd00::4' }`,
  )
})

t.test('what is written is read as the same node, whatever it is called, and with nothing in its lists', async (t) => {
  const { announcement: _, ...unannounced } = NODE
  for (const node of [
    NODE,
    unannounced,
    { ...NODE, name: '1e3' },
    { ...NODE, name: 'no', podCidrs: [], addresses: [] },
  ])
    t.strictSame(parseNodeObject(parseOne(renderManifest(formatNodeObject(node)))), node)
})
