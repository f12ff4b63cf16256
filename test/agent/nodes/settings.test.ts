import t from 'tap'
import { tunnelPorts } from '../../../agent/nodes/settings.ts'
import type { Options } from '../../../agent/options.ts'

t.test('only tunnels that the options may lead to keep a port of the node from pods', async (t) => {
  const ports = (routing: Options['routing'], isEncrypted = false) =>
    tunnelPorts({ routing, isEncrypted, vxlanPort: 4789, wireguardPort: 51820 })
  t.strictSame(ports('auto'), [4789])
  t.strictSame(ports('vxlan'), [4789])
  t.strictSame(ports('direct'), [])
  t.strictSame(ports('ipip'), [])
  t.strictSame(ports('wireguard'), [51820], 'a VPN server of a pod has its port where no tunnel of ours has it')
  t.strictSame(ports('auto', true), [4789, 51820])
})
