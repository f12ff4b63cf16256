import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { until } from './agent.ts'
import { capture, enterScratchNode, makeNetns } from './scratch.ts'

await enterScratchNode()
const program = (name: string) => fileURLToPath(new URL(`../../dist/bin/${name}`, import.meta.url))

t.test(
  'what is built works as it is installed: by its configuration file, a folder of nodes, through a link',
  async (t) => {
    mkdirSync('/run/nodes')
    const node = (name: string, number: number, address: string) =>
      `apiVersion: v1\nkind: Node\nmetadata: {name: ${name}}\nspec: {podCIDRs: [10.42.${number}.0/24]}\nstatus: {addresses: [{type: InternalIP, address: ${address}}]}\n`
    writeFileSync('/run/nodes/all.yaml', [node('pi-1', 1, '192.168.1.1'), node('pi-2', 2, '192.168.1.2')].join('---\n'))
    writeFileSync('/run/agent.yaml', 'node-name: pi-1\npod-cidr:\n  - 10.42.1.0/24\ncluster-dir: /run/nodes\n')
    symlinkSync(program('bramblectl'), '/run/bramblectl')

    const agent = spawn('setpriv', ['--pdeathsig', 'KILL', program('bramble-agent'), '--config', '/run/agent.yaml'], {
      cwd: '/',
    })
    let log = ''
    agent.stdout.setEncoding('utf8').on('data', (text: string) => (log += text))
    agent.stderr.setEncoding('utf8').on('data', (text: string) => (log += text))
    await until(`ready: ${log}`, () => log.includes('"msg":"ready"'))

    const caught = readFileSync(`/proc/${agent.pid}/status`, 'utf8').match(/^SigCgt:\s+(\S+)/m)?.[1]
    t.equal(BigInt(`0x${caught}`) & (1n << BigInt(constants.signals.SIGUSR1 - 1)), 0n, 'no debugger comes by a signal')

    await makeNetns('pod')
    const env = ['CNI_COMMAND=ADD', 'CNI_CONTAINERID=one', 'CNI_NETNS=/run/netns/pod', 'CNI_IFNAME=eth0']
    const added = await capture(
      'env',
      [...env, program('bramble')],
      '{"cniVersion":"1.0.0","name":"b","type":"bramble"}',
    )
    t.match(JSON.parse(added.stdout), { ips: [{ address: '10.42.1.1/32' }] })
    const status = JSON.parse((await capture('/run/bramblectl', ['status', '-o', 'json'])).stdout)
    t.match(status, { nodeName: 'pi-1', pods: 1, peers: 1, podCidrs: ['10.42.1.0/24'] })

    const exited = once(agent, 'exit')
    agent.kill('SIGTERM')
    t.same(await exited, [0, null])
  },
)

t.test('what is built can ask each source, and says which one it waits for', async (t) => {
  const access = { server: 'http://127.0.0.1:1' }
  const kubeconfig = {
    'current-context': 'here',
    contexts: [{ name: 'here', context: { cluster: 'pis', user: 'me' } }],
    clusters: [{ name: 'pis', cluster: access }],
    users: [{ name: 'me', user: {} }],
  }
  writeFileSync('/run/kubeconfig', JSON.stringify(kubeconfig))
  for (const [args, words] of [
    [['--datastore=redis', '--redis-url=redis://127.0.0.1:1', '--cluster-cidr=10.42.0.0/16'], 'redis://127.0.0.1:1'],
    [['--datastore=kubernetes', '--kubeconfig=/run/kubeconfig'], 'http://127.0.0.1:1'],
  ] as const) {
    const agent = spawn('setpriv', ['--pdeathsig', 'KILL', program('bramble-agent'), ...args])
    let log = ''
    for (const stream of [agent.stdout, agent.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (log += text))
    await until('it is waited for', () => log.includes('waiting for the pod CIDR') && log.includes('ECONNREFUSED'))
    t.match(log, words)
    const closed = once(agent, 'close')
    agent.kill('SIGTERM')
    t.same(await closed, [0, null])
  }
})

t.test('the faults of tests are not in what is built', async (t) => {
  const found = await capture('grep', [
    '-rl',
    'BRMTEST_FAULT',
    fileURLToPath(new URL('../../dist/lib', import.meta.url)),
  ])
  t.equal(found.stdout, '')
})
