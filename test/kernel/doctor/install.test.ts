import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { renderConflist } from '../../../agent/install/conflist.ts'
import { Agent, until } from '../agent.ts'
import { addUplink } from '../node.ts'
import { capture, enterScratchNode } from '../scratch.ts'
import { carryOut, diagnosed, found, putFile, ROOT } from './doctor.ts'

/* The agent away, and the files by which the runtime finds it: missing, broken, in the shadow of another network. */
const PLUGIN = fileURLToPath(new URL('../../../dist/bin/bramble', import.meta.url))
const CONF = '/etc/cni/net.d'
const OURS = `${CONF}/10-bramble.conflist`

await enterScratchNode()
await addUplink()

t.test('an agent that nobody has started', async (t) => {
  t.match(await found('agent-away'), [
    {
      severity: 'error',
      what: /no agent listens on \/run\/bramble\/agent\.sock/,
      commands: [/^(systemctl status bramble-agent|kubectl .*)$/],
    },
  ])
})

t.test(
  'an agent that refuses the pod CIDR, as it is as large as that of the cluster: its last words say so',
  async (t) => {
    const agent = Agent.spawn({ podCidrs: ['10.42.0.0/16'], args: ['--cluster-cidr', '10.42.0.0/16'] })
    t.not(await agent.ended(), 0)
    logOf('bramble-abcde', agent.stderr)
    t.match(await found('agent-away'), [
      {
        advice: /its last words: bramble-agent: .*10\.42\.0\.0\/16/,
        commands: ['kubectl -n kube-system describe pod bramble-abcde'],
      },
    ])
  },
)

t.test('an agent that refuses the pod CIDR, as the home LAN has it', async (t) => {
  const agent = Agent.spawn({ podCidrs: ['192.0.2.0/26'] })
  t.not(await agent.ended(), 0)
  logOf('bramble-fghij', agent.stderr)
  putFile('/etc/bramble/agent.yaml', 'pod-cidr: [192.0.2.0/26]\n')
  const { findings } = await diagnosed()
  t.match(findings.find(({ check }) => check === 'agent-away')?.advice, /192\.0\.2\.0\/26 overlaps 192\.0\.2\.0\/24/)
  t.match(
    findings.find(({ check }) => check === 'cidr-overlap')?.what,
    /192\.0\.2\.0\/26 of this node overlaps 192\.0\.2\.0\/24/,
  )
})

t.test('an agent that waits for Redis, which does not answer', async (t) => {
  const agent = Agent.spawn({
    podCidrs: [],
    args: ['--datastore', 'redis', '--redis-url', 'redis://127.0.0.1:1', '--cluster-cidr', '10.99.0.0/16'],
  })
  await until('it says that it waits', () => existsSync('/run/bramble/starting.sock'))
  await until(
    'it says what it waits for',
    async () => (await found('agent-waits'))[0]?.what.includes('127.0.0.1:1') === true,
  )
  t.match(await found('agent-waits'), [{ severity: 'error', what: /does not serve yet: .*127\.0\.0\.1:1/ }])
  t.same(await found('agent-away'), [])
  await agent.stop()
})

t.test('an agent that is there, and says nothing', async (t) => {
  const agent = await Agent.start()
  agent.child.kill('SIGSTOP')
  t.match(await found('agent-away'), [{ severity: 'error', what: /does not answer within 4 s/ }])
  agent.child.kill('SIGCONT')
  await agent.stop()
})

t.test('an agent whose file is no YAML', async (t) => {
  putFile('/etc/bramble/agent.yaml', 'pod-cidr: [10.42.0.0/24\nmtu: }')
  t.match(await found('agent-away'), [{ severity: 'error' }])
  putFile('/etc/bramble/agent.yaml', '')
})

t.test('pods that went while the agent was away', async (t) => {
  mkdirSync('/run/bramble', { recursive: true })
  const gone = await capture(
    'env',
    ['CNI_COMMAND=DEL', 'CNI_CONTAINERID=gone', 'CNI_IFNAME=eth0', 'CNI_NETNS=', PLUGIN],
    '{"cniVersion":"1.0.0","name":"bramble","type":"bramble"}',
  )
  t.equal(gone.exitCode, 0, gone.stdout)
  t.match(await found('pending-dels'), [{ severity: 'note', what: /^1 containers went/ }])
})

t.test('no network configuration, then one, but no plugin, then one that was cut short', async (t) => {
  putFile(`${CONF}/87-podman.conflist`, '{"name":"podman","plugins":[{"type":"bridge"}]}')
  t.match(await found('conflist-missing'), [{ severity: 'error', what: /names bramble/ }])
  putFile(OURS, renderConflist(new Set(['bandwidth'])))
  t.same(await found('conflist-missing'), [])
  t.match(await found('plugin-missing'), [{ what: /no plugin \/opt\/cni\/bin\/bramble/ }])
  putFile('/opt/cni/bin/bramble', readFileSync(PLUGIN).subarray(0, 4000).toString('latin1'), 0o755)
  t.match(await found('plugin-missing'), [{ what: /\/opt\/cni\/bin\/bramble does not run/ }])
  copyFileSync(PLUGIN, `${ROOT}/opt/cni/bin/bramble`)
  t.same(await found('plugin-missing'), [])
  t.match(await found('chained-plugin-missing'), [{ severity: 'error', what: /chains bandwidth/ }])
  putFile('/opt/cni/bin/bandwidth', '#!/bin/false\n', 0o755)
  t.same(await found('chained-plugin-missing'), [])
  t.same(await found('version-skew'), [])
})

t.test('a plugin of another version', async (t) => {
  putFile('/opt/cni/bin/bramble', '#!/bin/sh\necho "CNI plugin bramble 0.0.1, speaks CNI 1.1.0" >&2\n', 0o755)
  t.match(await found('version-skew'), [{ severity: 'warning', what: /plugin \/opt\/cni\/bin\/bramble is 0\.0\.1/ }])
  copyFileSync(PLUGIN, `${ROOT}/opt/cni/bin/bramble`)
})

t.test('another network comes first by name: the command sets it aside', async (t) => {
  putFile(`${CONF}/05-flannel.conflist`, '{"name":"cbr0","plugins":[{"type":"flannel"}]}')
  const findings = await found('conflist-order')
  t.match(findings, [{ severity: 'error', what: /05-flannel\.conflist \(network cbr0: flannel\) comes before/ }])
  await carryOut(findings.flatMap(({ commands }) => commands.map((command) => command.replaceAll(CONF, ROOT + CONF))))
  t.same(await found('conflist-order'), [])
})

t.test('a power cut that left a configuration of 0 bytes', async (t) => {
  putFile(OURS, '')
  const { findings } = await diagnosed()
  t.match(
    findings.find(({ check }) => check === 'conflist-broken')?.what,
    /10-bramble\.conflist is no network configuration: it is empty/,
  )
  t.ok(findings.some(({ check }) => check === 'conflist-missing'))
  putFile(OURS, renderConflist(new Set(['bandwidth'])))
})

t.test('a containerd that was told to look elsewhere', async (t) => {
  putFile(
    '/etc/containerd/config.toml',
    '[plugins."io.containerd.grpc.v1.cri".cni]\n  bin_dir = "/usr/lib/cni"\n  conf_dir = "/etc/cni/net.d"\n',
  )
  t.match(await found('runtime-paths'), [
    { severity: 'error', what: /config\.toml says bin_dir = \/usr\/lib\/cni; Bramble is in/ },
  ])
})

t.end()

/** As a container runtime writes what a container says. */
function logOf(pod: string, text: string): void {
  const lines = text.split('\n').filter((line) => line !== '')
  const log = lines.map((line) => `2026-11-21T10:00:00.0Z stderr F ${line}\n`).join('')
  putFile(`/var/log/pods/kube-system_${pod}_uid/agent/0.log`, log)
}
