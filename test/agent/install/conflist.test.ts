import t from 'tap'
import { leadsToUs, namesBeforeOurs, pluginTypes, renderConflist } from '../../../agent/install/conflist.ts'

const types = (...present: string[]) => pluginTypes(renderConflist(new Set(present)))

t.test('a plugin is chained where the runtime can run it, in the order that the chain needs', (t) => {
  t.strictSame(types(), ['bramble'])
  t.strictSame(types('portmap'), ['bramble'])
  t.strictSame(types('portmap', 'bandwidth', 'loopback'), ['bramble', 'bandwidth'])
  t.end()
})

t.test('the runtime is asked to tell the plugin of hostPorts', (t) => {
  t.match(JSON.parse(renderConflist(new Set())).plugins, [{ type: 'bramble', capabilities: { portMappings: true } }])
  t.end()
})

t.test('CHECK is asked for where the plugin is alone: a chained bandwidth before 1.9.1 dies of it', (t) => {
  const isCheckOff = (...present: string[]) => JSON.parse(renderConflist(new Set(present))).disableCheck
  t.equal(isCheckOff(), undefined)
  t.equal(isCheckOff('bandwidth'), true)
  t.end()
})

t.test('what the runtime reads before ours is told in its order: that of the bytes', (t) => {
  const names = ['10-calico.conflist', '05-x.conf', '00-multus.conf', '10-bramble.conflist', '100-crio-bridge.conf']
  t.strictSame(namesBeforeOurs(names), ['00-multus.conf', '05-x.conf'])
  t.strictSame(namesBeforeOurs(['10-Calico.conflist', '10-aws.json']), ['10-Calico.conflist', '10-aws.json'])
  t.end()
})

t.test('what the runtime does not read is no matter', (t) => {
  t.strictSame(namesBeforeOurs(['00-readme.txt', '05-cilium.conflist.bak', '.05-x.new', '10-aws.json~']), [])
  t.end()
})

t.test('a configuration that calls us, or lets Multus do so, is no stranger', (t) => {
  t.ok(leadsToUs(pluginTypes('{"plugins":[{"type":"tuning"},{"type":"bramble"}]}')))
  t.ok(leadsToUs(pluginTypes('{"type":"multus-shim"}')))
  t.notOk(leadsToUs(pluginTypes('{"plugins":[{"type":"flannel"}]}')))
  for (const broken of ['', '{', 'null', '[]', '{"plugins":7}', '{"plugins":[null]}'])
    t.strictSame(pluginTypes(broken), [])
  t.end()
})
