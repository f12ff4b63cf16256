import { existsSync } from 'node:fs'
import t from 'tap'
import { CNI_VERSIONS } from '../../plugin/network-config.ts'
import { Agent } from './agent.ts'
import { addUplink, link, pings, sysctl } from './node.ts'
import { call } from './plugin.ts'
import { Pod, type Result } from './pod.ts'
import { enterScratchNode, makeNetns, run } from './scratch.ts'

/** A chain of plugins, as a runtime runs it: each gets the result of the one before, and CHECK the last one's. */
const CHAIN = [
  { type: 'tuning', mtu: 1400, sysctl: { 'net.core.somaxconn': '512' } },
  { type: 'bandwidth', ingressRate: 8_000_000, ingressBurst: 800_000, egressRate: 8_000_000, egressBurst: 800_000 },
]

await enterScratchNode()
await addUplink()
const agent = await Agent.start()
t.after(() => agent.stop())

for (const cniVersion of CNI_VERSIONS)
  t.test(
    `with CNI ${cniVersion}, real plugins after ours take our result, and CHECK takes what they change`,
    async (t) => {
      const pod = await Pod.add({ config: { cniVersion } })
      let prevResult: Result = pod.result
      for (const { type, ...config } of CHAIN) {
        const { exitCode, json } = await runOther('ADD', type, pod, { cniVersion, ...config, prevResult })
        t.equal(exitCode, 0, JSON.stringify(json))
        prevResult = json
      }
      t.strictSame(prevResult.ips, pod.result.ips, 'our addresses came through')
      t.match(await link(pod.netns, 'eth0'), { mtu: 1400 })
      t.equal(await sysctl(pod.netns, 'core/somaxconn'), '512')
      t.match(await run('tc', 'qdisc', 'show', 'dev', pod.hostLink), /tbf .*rate 8Mbit/)

      if (cniVersion !== '0.3.1')
        t.strictSame(await pod.check(prevResult), { exitCode: 0, json: undefined, stderr: '' })
      for (const { type, ...config } of [...CHAIN].reverse())
        t.match(await runOther('DEL', type, pod, { cniVersion, ...config, prevResult }), { exitCode: 0 })
      t.match(await pod.del(), { exitCode: 0 })
    },
  )

t.test('portmap after ours', { skip: !existsSync('/usr/sbin/iptables') && 'portmap needs iptables' }, async (t) => {
  const pod = await Pod.add()
  const config = {
    runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
    cniVersion: '1.0.0',
    prevResult: { ...pod.result, cniVersion: '1.0.0' },
  }
  const { exitCode, json } = await runOther('ADD', 'portmap', pod, config)
  t.equal(exitCode, 0, JSON.stringify(json))
  t.match(await pod.check({ ...json, cniVersion: '1.1.0' }), { exitCode: 0 })
  t.match(await runOther('DEL', 'portmap', pod, config), { exitCode: 0 })
})

t.test('a MAC that a plugin after ours changes cuts the pod off, and CHECK says so', async (t) => {
  const pod = await Pod.add()
  const config = { cniVersion: '1.0.0', mac: '02:11:22:33:44:55', prevResult: pod.result }
  t.match(await runOther('ADD', 'tuning', pod, config), { exitCode: 0 })
  t.notOk(await pings(undefined, pod.addresses[0] ?? ''))
  t.match((await pod.check()).json.msg, `link eth0 has MAC 02:11:22:33:44:55, not ${pod.mac} in the pod`)
})

for (const cniVersion of CNI_VERSIONS)
  t.test(`with CNI ${cniVersion}, ours adds to the result of the plugins before it`, async (t) => {
    const netns = await makeNetns(`after-${cniVersion}`)
    const isOld = cniVersion === '0.3.1' || cniVersion === '0.4.0'
    const before = {
      cniVersion,
      interfaces: [{ name: 'vlan7', mac: '02:00:00:00:00:07', sandbox: netns }],
      ips: [{ ...(isOld && { version: '4' }), address: '198.51.100.7/24', gateway: '198.51.100.1', interface: 0 }],
      routes: [{ dst: '203.0.113.0/24', gw: '198.51.100.1' }],
      dns: { nameservers: ['198.51.100.53'] },
    }
    const pod = await Pod.add({ netns, config: { cniVersion, prevResult: before } })
    t.strictSame(pod.result.interfaces[0], before.interfaces[0])
    t.strictSame(pod.result.ips[0], before.ips[0])
    t.strictSame(pod.result.routes[0], before.routes[0])
    t.match(pod.result, { dns: before.dns })
    t.equal(pod.result.interfaces.length, 3)
    for (const ip of pod.result.ips.slice(1))
      t.match(pod.result.interfaces[ip.interface], { name: 'eth0', sandbox: netns })
    if (cniVersion !== '0.3.1') t.match(await pod.check(), { exitCode: 0 })
  })

t.test('a pod has the DNS settings that the runtime names', async (t) => {
  const pod = await Pod.add({
    config: { runtimeConfig: { dns: { Servers: ['10.43.0.10'], Searches: ['cluster.local'] } } },
  })
  t.match(pod.result, { dns: { nameservers: ['10.43.0.10'], search: ['cluster.local'] } })
})

t.test('a pod is told when the chain asks ours for what another plugin does, and how to have it', async (t) => {
  const runtimeConfig = { bandwidth: { IngressRate: 1_000_000, IngressBurst: 1_000_000 } }
  t.match(await call('ADD', { containerId: 'asks', netns: await makeNetns('asks'), config: { runtimeConfig } }), {
    exitCode: 1,
    json: { code: 2, msg: /bandwidth/, details: /chain the "bandwidth" plugin after bramble/ },
  })
})

t.test('leases and kernel agree when all is over', async (t) => t.strictSame(await agent.ask('ipam check'), []))

t.end()

/** Debian's plugins speak CNI up to 1.0.0; a result of 1.1.0 differs by keys that they pass over. */
async function runOther(
  command: string,
  type: string,
  pod: Pod,
  config: { readonly cniVersion: string; readonly prevResult: object; readonly [key: string]: unknown },
) {
  const cniVersion = config.cniVersion === '1.1.0' ? '1.0.0' : config.cniVersion
  const { containerId, netns } = pod
  return call(command, {
    type,
    containerId,
    netns,
    config: { ...config, cniVersion, prevResult: { ...config.prevResult, cniVersion } },
  })
}
