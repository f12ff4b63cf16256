import { spawn } from 'node:child_process'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import t from 'tap'
import { OptionError, parseOptions } from '../../agent/options.ts'

const AGENT = fileURLToPath(new URL('../../bin/bramble-agent.ts', import.meta.url))
const VERSION = '1.2.3'

/** All that an agent needs. */
const ENOUGH = ['--pod-cidr', '10.42.0.0/24', '--node-name', 'n1']

interface Given {
  readonly argv?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** The content of the file of --config. */
  readonly file?: string
}

const configPath = join(t.testdir(), 'agent.yaml')

async function parse({ argv = ENOUGH, env = {}, file }: Given) {
  for (const name of Object.keys(process.env)) if (name.startsWith('BRAMBLE_')) delete process.env[name]
  Object.assign(process.env, env)
  if (file !== undefined) writeFileSync(configPath, file)
  const options = await parseOptions([...(file === undefined ? [] : ['--config', configPath]), ...argv], VERSION)
  if (!options) return undefined
  const texts = (cidrs: readonly { readonly text: string }[]) => cidrs.map(({ text }) => text)
  return {
    ...options,
    podCidrs: texts(options.podCidrs),
    clusterCidrs: texts(options.clusterCidrs),
    serviceCidrs: texts(options.serviceCidrs),
    noMasqueradeCidrs: texts(options.noMasqueradeCidrs),
  }
}

/** Why it was refused; undefined when it was not. */
async function refusal(given: Given): Promise<string | undefined> {
  try {
    await parse(given)
    return undefined
  } catch (error) {
    if (error instanceof OptionError) return error.message
    throw error
  }
}

/** What is not told otherwise, with this state directory. */
const defaults = (stateDir = '/run/bramble') => ({
  nodeIps: [],
  clusterCidrs: [],
  nodeMasks: { 4: 24, 6: 64 },
  serviceCidrs: [],
  isEncrypted: false,
  wireguardPort: 51_820,
  wireguardKeyFile: `${stateDir}/wireguard.key`,
  wireguardKeepaliveSeconds: 0,
  masquerades: true,
  noMasqueradeCidrs: [],
  policyMode: 'default',
  policyWaitSeconds: 5,
  policyFailsOpen: false,
  metricsAddress: { host: '127.0.0.1', port: 9739 },
  sysctlDir: '/proc/sys/net',
  takesOver: false,
})

t.test('with a pod CIDR alone the rest has its defaults', async (t) => {
  t.same(await parse({ argv: ['--pod-cidr', '10.42.0.0/24'] }), {
    datastore: 'local',
    nodeName: hostname().toLowerCase(),
    podCidrs: ['10.42.0.0/24'],
    socket: '/run/bramble/agent.sock',
    stateDir: '/run/bramble',
    mtuBytes: 0,
    routing: 'auto',
    vxlanVni: 4096,
    vxlanPort: 4789,
    logLevel: 'info',
    ...defaults(),
  })
})

t.test('every option can be given as a flag, as a variable and in the file', async (t) => {
  const expected = {
    datastore: 'local',
    nodeName: 'pi-4',
    podCidrs: ['10.42.0.0/24', 'fd42::/64'],
    socket: '/run/x/y.sock',
    stateDir: '/run/z',
    mtuBytes: 1400,
    clusterDir: '/etc/nodes',
    routing: 'vxlan',
    vxlanVni: 7,
    vxlanPort: 8472,
    logLevel: 'debug',
    nodeIps: ['192.168.1.4', 'fd00::4'],
    clusterCidrs: ['10.42.0.0/16'],
    nodeMasks: { 4: 25, 6: 80 },
    serviceCidrs: ['10.43.0.0/16'],
    isEncrypted: false,
    wireguardPort: 51_821,
    wireguardKeyFile: '/etc/key',
    wireguardKeepaliveSeconds: 25,
    masquerades: false,
    noMasqueradeCidrs: ['10.0.0.0/8', 'fc00::/7'],
    policyMode: 'always',
    policyWaitSeconds: 2,
    policyFailsOpen: true,
    metricsAddress: { host: '::', port: 9000 },
    cniBinDir: '/host/bin',
    cniConfDir: '/host/conf',
    sysctlDir: '/host/sys',
    takesOver: true,
  }
  const flags = [
    ...['--datastore=local', '--node-name=pi-4', '--pod-cidr=fd42::/64', '--pod-cidr=10.42.0.0/24'],
    ...['--socket=/run/x/y.sock', '--state-dir=/run/z', '--mtu=1400', '--log-level=debug'],
    ...['--cluster-dir=/etc/nodes', '--routing=vxlan', '--vxlan-vni=7', '--vxlan-port=8472'],
    ...['--node-ip=192.168.1.4', '--node-ip=fd00::4', '--cluster-cidr=10.42.0.0/16', '--node-mask=25'],
    ...['--node-mask-ipv6=80', '--service-cidr=10.43.0.0/16', '--encrypt=false', '--wireguard-port=51821'],
    ...['--wireguard-key-file=/etc/key', '--wireguard-keepalive=25', '--masquerade=false'],
    ...['--no-masquerade-cidr=10.0.0.0/8', '--no-masquerade-cidr=fc00::/7'],
    ...['--policy-mode=always', '--policy-wait=2', '--policy-fail-open=true'],
    '--metrics-address=[::]:9000',
    ...['--cni-bin-dir=/host/bin', '--cni-conf-dir=/host/conf', '--sysctl-dir=/host/sys', '--take-over'],
  ]
  const env = {
    BRAMBLE_DATASTORE: 'local',
    BRAMBLE_NODE_NAME: 'pi-4',
    BRAMBLE_POD_CIDR: '10.42.0.0/24,fd42::/64',
    BRAMBLE_SOCKET: '/run/x/y.sock',
    BRAMBLE_STATE_DIR: '/run/z',
    BRAMBLE_MTU: '1400',
    BRAMBLE_CLUSTER_DIR: '/etc/nodes',
    BRAMBLE_ROUTING: 'vxlan',
    BRAMBLE_VXLAN_VNI: '7',
    BRAMBLE_VXLAN_PORT: '8472',
    BRAMBLE_LOG_LEVEL: 'debug',
    BRAMBLE_NODE_IP: '192.168.1.4,fd00::4',
    BRAMBLE_METRICS_ADDRESS: '[::]:9000',
    BRAMBLE_CNI_BIN_DIR: '/host/bin',
    BRAMBLE_CNI_CONF_DIR: '/host/conf',
    BRAMBLE_SYSCTL_DIR: '/host/sys',
    BRAMBLE_TAKE_OVER: 'true',
    BRAMBLE_CLUSTER_CIDR: '10.42.0.0/16',
    BRAMBLE_NODE_MASK: '25',
    BRAMBLE_NODE_MASK_IPV6: '80',
    BRAMBLE_SERVICE_CIDR: '10.43.0.0/16',
    BRAMBLE_ENCRYPT: 'false',
    BRAMBLE_WIREGUARD_PORT: '51821',
    BRAMBLE_WIREGUARD_KEY_FILE: '/etc/key',
    BRAMBLE_WIREGUARD_KEEPALIVE: '25',
    BRAMBLE_MASQUERADE: 'false',
    BRAMBLE_NO_MASQUERADE_CIDR: '10.0.0.0/8 fc00::/7',
    BRAMBLE_POLICY_MODE: 'always',
    BRAMBLE_POLICY_WAIT: '2',
    BRAMBLE_POLICY_FAIL_OPEN: 'true',
  }
  const yaml = `
datastore: local
node-name: pi-4
pod-cidr: [10.42.0.0/24, "fd42::/64"]
socket: /run/x/y.sock
state-dir: /run/z
mtu: 1400
cluster-dir: /etc/nodes
routing: vxlan
vxlan-vni: 7
vxlan-port: 8472
log-level: debug # as long as it is new
node-ip: [192.168.1.4, "fd00::4"]
cluster-cidr: [10.42.0.0/16]
node-mask: 25
node-mask-ipv6: 80
service-cidr: 10.43.0.0/16
encrypt: false
wireguard-port: 51821
wireguard-key-file: /etc/key
wireguard-keepalive: 25
masquerade: false
no-masquerade-cidr: [10.0.0.0/8, "fc00::/7"]
policy-mode: always
policy-wait: 2
policy-fail-open: true
metrics-address: '[::]:9000'
cni-bin-dir: /host/bin
cni-conf-dir: /host/conf
sysctl-dir: /host/sys
take-over: true
`
  const json = JSON.stringify({
    datastore: 'local',
    'node-name': 'pi-4',
    'pod-cidr': ['10.42.0.0/24', 'fd42::/64'],
    socket: '/run/x/y.sock',
    'state-dir': '/run/z',
    mtu: 1400,
    'cluster-dir': '/etc/nodes',
    routing: 'vxlan',
    'vxlan-vni': 7,
    'vxlan-port': 8472,
    'log-level': 'debug',
    'node-ip': ['192.168.1.4', 'fd00::4'],
    'cluster-cidr': '10.42.0.0/16',
    'node-mask': 25,
    'node-mask-ipv6': 80,
    'service-cidr': ['10.43.0.0/16'],
    encrypt: false,
    'wireguard-port': 51_821,
    'wireguard-key-file': '/etc/key',
    'wireguard-keepalive': 25,
    masquerade: false,
    'no-masquerade-cidr': ['10.0.0.0/8', 'fc00::/7'],
    'policy-mode': 'always',
    'policy-wait': 2,
    'policy-fail-open': true,
    'metrics-address': '[::]:9000',
    'cni-bin-dir': '/host/bin',
    'cni-conf-dir': '/host/conf',
    'sysctl-dir': '/host/sys',
    'take-over': true,
  })
  t.same(await parse({ argv: flags }), expected)
  t.same(await parse({ argv: [], env }), expected)
  t.same(await parse({ argv: [], file: yaml }), expected)
  t.same(await parse({ argv: [], file: json }), expected)
})

t.test('flags go before variables, and those before the file', async (t) => {
  const flag = ['--mtu', '1400', '--pod-cidr', '10.1.0.0/24']
  const env = { BRAMBLE_MTU: '1401', BRAMBLE_POD_CIDR: '10.2.0.0/24' }
  const file = 'mtu: 1402\npod-cidr: 10.3.0.0/24'
  t.match(await parse({ argv: flag, env, file }), { mtuBytes: 1400, podCidrs: ['10.1.0.0/24'] })
  t.match(await parse({ argv: [], env, file }), { mtuBytes: 1401, podCidrs: ['10.2.0.0/24'] })
  t.match(await parse({ argv: [], file }), { mtuBytes: 1402, podCidrs: ['10.3.0.0/24'] })
})

t.test('the file of --config may be named by BRAMBLE_CONFIG', async (t) => {
  writeFileSync(configPath, 'mtu: 1402')
  t.match(await parse({ env: { BRAMBLE_CONFIG: configPath } }), { mtuBytes: 1402 })
})

t.test('an empty file says nothing', async (t) => {
  for (const file of ['', '\n', '# nothing yet\n', '{}']) t.match(await parse({ file }), { mtuBytes: 0 })
})

t.test('the socket is in the state directory, unless it is said otherwise', async (t) => {
  t.match(await parse({ argv: [...ENOUGH, '--state-dir', '/run/z'] }), { socket: '/run/z/agent.sock' })
})

t.test('pod CIDRs are given repeatedly, or as a list; IPv4 comes first', async (t) => {
  const both = ['10.42.0.0/24', 'fd42::/64']
  t.same((await parse({ argv: ['--pod-cidr', 'FD42::/64', '--pod-cidr', '10.42.0.0/24'] }))?.podCidrs, both)
  t.same((await parse({ argv: ['--pod-cidr', 'fd42::/64,10.42.0.0/24'] }))?.podCidrs, both)
  t.same((await parse({ argv: [], env: { BRAMBLE_POD_CIDR: '10.42.0.0/24 fd42::/64' } }))?.podCidrs, both)
  t.same((await parse({ argv: ['--pod-cidr', 'fd42::/64'] }))?.podCidrs, ['fd42::/64'])
})

t.test('a pod CIDR that is missing or cannot be read is named', async (t) => {
  t.equal(await refusal({ argv: [] }), '--pod-cidr is missing; give one like --pod-cidr 10.42.0.0/24')
  t.equal(
    await refusal({ argv: ['--pod-cidr', '10.42.0.0'] }),
    '--pod-cidr: Cannot parse CIDR "10.42.0.0": write it like 10.42.0.0/24',
  )
  t.equal(
    await refusal({ argv: ['--pod-cidr', '10.42.0.9/24'] }),
    '--pod-cidr: Cannot use CIDR "10.42.0.9/24": it is an address inside 10.42.0.0/24; write 10.42.0.0/24',
  )
})

t.test('plugin and network configuration are put nowhere below /proc', async (t) => {
  t.match(
    await refusal({ argv: [...ENOUGH, '--cni-bin-dir=/proc/cni'] }),
    /^--cni-bin-dir \/proc\/cni is no place for files; take that of the container runtime, like \/opt\/cni\/bin/,
  )
})

t.test('a network configuration is written only where it is known which plugins are there', async (t) => {
  t.match(
    await refusal({ argv: [...ENOUGH, '--cni-conf-dir=/etc/cni/net.d'] }),
    /^--cni-conf-dir needs --cni-bin-dir, like \/opt\/cni\/bin/,
  )
})

t.test('two pod CIDRs of one family are refused with both', async (t) => {
  t.equal(
    await refusal({ argv: ['--pod-cidr', '10.42.0.0/24', '--pod-cidr', '10.43.0.0/24'] }),
    '--pod-cidr: 10.42.0.0/24 and 10.43.0.0/24 are both IPv4; give one of each family',
  )
  t.match(await refusal({ argv: ['--pod-cidr', 'fd42::/64', '--pod-cidr', 'fd43::/64'] }), 'are both IPv6')
})

t.test('a pod CIDR with no room for a pod is refused', async (t) => {
  for (const cidr of ['10.42.0.1/32', 'fd42::1/128'])
    t.equal(
      await refusal({ argv: ['--pod-cidr', cidr] }),
      `--pod-cidr ${cidr} holds no address for a pod: the first one of a CIDR is not given out`,
    )
  for (const cidr of ['10.42.0.0/31', 'fd42::/127']) t.equal(await refusal({ argv: ['--pod-cidr', cidr] }), undefined)
})

t.test('a pod CIDR over addresses that no pod can have is refused with why', async (t) => {
  const reserved = {
    '0.0.0.0/0': '0.0.0.0/8, this network',
    '0.1.0.0/16': '0.0.0.0/8, this network',
    '127.0.0.0/24': '127.0.0.0/8, loopback',
    '169.254.1.0/24': '169.254.0.0/16, link-local, where the pods have their gateway',
    '239.0.0.0/24': '224.0.0.0/3, multicast and reserved',
    '255.255.255.0/24': '224.0.0.0/3, multicast and reserved',
    '::/64': '::/96, unspecified and loopback',
    '::ffff:10.0.0.0/104': '::ffff:0:0/96, IPv4-mapped',
    'fe80::/64': 'fe80::/10, link-local',
    'ff02::/64': 'ff00::/8, multicast',
  }
  for (const [cidr, why] of Object.entries(reserved))
    t.match(await refusal({ argv: ['--pod-cidr', cidr] }), `overlaps ${why}`)
  for (const cidr of ['10.0.0.0/8', '172.16.0.0/12', '192.168.7.0/24', '100.64.0.0/10', 'fd00::/8', '2001:db8::/32'])
    t.equal(await refusal({ argv: ['--pod-cidr', cidr] }), undefined, cidr)
})

t.test('an unknown option is named as it was written, wherever it came from', async (t) => {
  const wrong: [Given, string][] = [
    [{ argv: [...ENOUGH, '--pod-cider', 'x'] }, 'unknown option "pod-cider"; see bramble-agent --help'],
    [{ argv: [...ENOUGH, '--foo', '--bar=1'] }, 'unknown option "foo", "bar"; see bramble-agent --help'],
    [{ argv: [...ENOUGH, 'start'] }, 'unknown option "start"; see bramble-agent --help'],
    [{ argv: [...ENOUGH, '-x'] }, 'unknown option "x"; see bramble-agent --help'],
    [{ env: { BRAMBLE_POD_CIDER: 'x' } }, 'unknown option BRAMBLE_POD_CIDER; see bramble-agent --help'],
    [{ file: 'mtuu: 1400\nfoo: 1' }, 'unknown option "mtuu", "foo"; see bramble-agent --help'],
    [{ file: 'extends: /etc/bramble.yaml' }, 'unknown option "extends"; see bramble-agent --help'],
  ]
  for (const [given, message] of wrong) t.equal(await refusal(given), message)
})

t.test('an option that is given twice, or as anything but text, is named with what it was', async (t) => {
  const text = ['node-name', 'socket', 'state-dir']
  for (const name of text) {
    t.equal(
      await refusal({ argv: ['--pod-cidr', '10.42.0.0/24', `--${name}`, '/a/b', `--${name}`, '/a/c'] }),
      `--${name} is ["/a/b","/a/c"]; give it once, as text`,
    )
    for (const value of ['7', 'true', '[a]', '{a: b}'])
      t.match(await refusal({ argv: ['--pod-cidr', '10.42.0.0/24'], file: `${name}: ${value}` }), `--${name} is `)
  }
  for (const [name, value] of [
    ['datastore', 'local'],
    ['log-level', 'info'],
  ]) {
    t.match(await refusal({ argv: [...ENOUGH, `--${name}=${value}`, `--${name}=${value}`] }), /give it once, as text$/)
    t.match(await refusal({ file: `${name}: [${value}]` }), /give it once, as text$/)
  }
})

t.test('an option without its value is named', async (t) => {
  for (const name of ['pod-cidr', 'node-name', 'socket', 'state-dir', 'mtu', 'datastore', 'log-level', 'config'])
    t.equal(await refusal({ argv: [`--${name}`] }), `Not enough arguments following: ${name}`)
})

t.test('a choice that is none is named with those that there are', async (t) => {
  t.equal(
    await refusal({ argv: [...ENOUGH, '--datastore', 'etcd'] }),
    'Invalid values: Argument: datastore, Given: "etcd", Choices: "local", "kubernetes", "redis"',
  )
  t.match(await refusal({ env: { BRAMBLE_LOG_LEVEL: 'loud' } }), /log-level.*"loud".*"trace", "debug", "info", "warn"/)
})

t.test('--mtu is a whole number of bytes that the kernel and the family take, or 0', async (t) => {
  const message = '--mtu must be a whole number of bytes from 68 to 65535, or 0 to follow the uplinks'
  for (const mtu of ['abc', '-1', '67', '65536', '1400.5', 'Infinity'])
    t.equal(await refusal({ argv: [...ENOUGH, '--mtu', mtu] }), message, mtu)
  for (const mtu of ['[1, 2]', 'true', '{a: 1}']) t.equal(await refusal({ file: `mtu: ${mtu}` }), message, mtu)
  for (const mtu of [0, 68, 1500, 65_535])
    t.match(await parse({ argv: [...ENOUGH, `--mtu=${mtu}`] }), { mtuBytes: mtu })
  t.match(await refusal({ argv: ['--pod-cidr=fd42::/64', '--mtu=1279'] }), /^--mtu 1279 .*1280/)
  t.equal(await refusal({ argv: ['--pod-cidr=fd42::/64', '--mtu=1280'] }), undefined)
})

t.test('--node-name is a host name as Kubernetes asks for, in lower case', async (t) => {
  const named = (name: string) => ({ argv: ['--pod-cidr=10.42.0.0/24', `--node-name=${name}`] })
  t.match(await parse(named('Pi-4.Home')), { nodeName: 'pi-4.home' })
  for (const name of ['', '-a', 'a-', 'a_b', 'a b', 'a/b', 'ä', 'a'.repeat(254)])
    t.equal(await refusal(named(name)), `--node-name "${name}" is no host name; use letters, digits, "-" and "."`)
})

t.test('paths are absolute, and that of the socket fits into the kernel', async (t) => {
  t.equal(
    await refusal({ argv: [...ENOUGH, '--socket', 'agent.sock'] }),
    '--socket "agent.sock" is not an absolute path',
  )
  t.equal(await refusal({ argv: [...ENOUGH, '--state-dir', './run'] }), '--state-dir "./run" is not an absolute path')
  t.equal(
    await refusal({ argv: [...ENOUGH, '--socket', '/a.sock'] }),
    '--socket /a.sock must lie in a folder of its own',
  )
  const longest = `/${'a'.repeat(50)}/${'b'.repeat(55)}`
  t.match(await parse({ argv: [...ENOUGH, '--socket', longest] }), { socket: longest })
  t.equal(
    await refusal({ argv: [...ENOUGH, '--socket', `${longest}b`] }),
    `--socket ${longest}b is longer than the 107 bytes that a socket's path may have`,
  )
  t.match(await refusal({ argv: [...ENOUGH, '--state-dir', `/${'a'.repeat(100)}`] }), /is longer than the 107 bytes/)
})

t.test('a file that cannot be read is named with why', async (t) => {
  const missing = join(t.testdir(), 'none.yaml')
  t.match(await refusal({ argv: [...ENOUGH, '--config', missing] }), `--config ${missing} cannot be read: ENOENT`)
  t.match(await refusal({ env: { BRAMBLE_CONFIG: missing } }), `--config ${missing} cannot be read: ENOENT`)
  for (const path of ['/dev/zero', t.testdir()])
    t.equal(
      await refusal({ argv: [...ENOUGH, '--config', path] }),
      `--config ${path} cannot be read: it is no regular file`,
    )
  t.match(await refusal({ file: 'mtu: a: b' }), / cannot be read: .* at line 1, column 6$/)
  t.match(
    await refusal({ file: 'mtu: 1400\nmtu: 1500' }),
    / cannot be read: Map keys must be unique at line 2, column 1$/,
  )
  for (const file of ['[mtu]', 'text', '7']) t.match(await refusal({ file }), /must hold options like "mtu: 1450"$/)
})

t.test('every refusal is one line, whatever the file holds', async () => {
  const name = fc.constantFrom('mtu', 'node-name', 'pod-cidr', 'socket', 'state-dir', 'log-level', 'datastore', 'other')
  await fc.assert(
    fc.asyncProperty(fc.dictionary(name, fc.jsonValue(), { maxKeys: 3 }), async (content) => {
      const message = await refusal({ argv: [], file: JSON.stringify(content) })
      return message === undefined || (message.length > 0 && !message.includes('\n'))
    }),
    { numRuns: 60 },
  )
})

/** The agent itself, as a child that has `dir` to itself. */
function run(dir: string, args: readonly string[], env: Record<string, string> = {}) {
  const { promise, resolve, reject } = Promise.withResolvers<{
    exitCode: number | null
    stdout: string
    stderr: string
  }>()
  const all = [AGENT, ...args]
  const { PATH, NODE_COMPILE_CACHE } = process.env
  const child = spawn(process.execPath, all, { cwd: dir, env: { PATH, NODE_COMPILE_CACHE, ...env }, timeout: 20_000 })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  child.on('error', reject)
  child.on('close', (exitCode) => resolve({ exitCode, stdout, stderr }))
  return promise
}

t.test('a wrong option ends the agent with one line and exit code 2, before anything is touched', async (t) => {
  const dir = t.testdir()
  const state = [`--state-dir=${dir}/state`, `--socket=${dir}/socket/agent.sock`]
  const wrong: [string[], Record<string, string>][] = [
    [state, {}],
    [[...state, ...ENOUGH, '--mtu=1'], {}],
    [[...state, ...ENOUGH, '--nonsense'], {}],
    [[...state, ...ENOUGH, '--log-level=loud'], {}],
    [[...state, ...ENOUGH, '--node-name=other'], {}],
    [[...state, ...ENOUGH], { BRAMBLE_FOO: '1' }],
    [[...state, ...ENOUGH, `--config=${dir}/none.yaml`], {}],
  ]
  const ends = await Promise.all(wrong.map(([args, env]) => run(dir, args, env)))
  for (const { exitCode, stdout, stderr } of ends) {
    t.match(stderr, /^bramble-agent: [^\n]+\n$/)
    t.equal(exitCode, 2, stderr)
    t.equal(stdout, '')
  }
  t.same(readdirSync(dir), [])
})

t.test('--help shows every option and ends with 0, before anything is touched', async (t) => {
  const dir = t.testdir()
  const { exitCode, stdout, stderr } = await run(dir, ['--help', '--nonsense', `--state-dir=${dir}/state`])
  t.equal(exitCode, 0)
  t.equal(stderr, '')
  for (const option of ['datastore', 'node-name', 'pod-cidr', 'socket', 'state-dir', 'mtu', 'log-level', 'config'])
    t.match(stdout, `--${option}`)
  t.match(stdout, 'BRAMBLE_POD_CIDR')
  t.match(stdout.replace(/\s+/g, ' '), 'flags win, then the environment, then the file')
  t.notOk(existsSync(join(dir, 'state')))
})

t.test('--version shows the version and ends with 0', async (t) => {
  const { exitCode, stdout } = await run(t.testdir(), ['--version'])
  t.equal(exitCode, 0)
  t.match(stdout, /^\d+\.\d+\.\d+\n$/)
})

t.test('an option that means nothing with the datastore is refused, with the one that it is for', async (t) => {
  for (const [argv, message] of [
    [
      ['--datastore=redis', '--pod-cidr=10.42.0.0/24'],
      '--cluster-cidr is missing; give one like --cluster-cidr 10.42.0.0/16',
    ],
    [
      ['--datastore=redis', '--pod-cidr=10.42.0.0/24', '--cluster-cidr=10.42.0.0/16'],
      '--pod-cidr is for --datastore local; with redis the cluster gives them out',
    ],
    [['--datastore=kubernetes', '--cluster-dir=/x'], '--cluster-dir is for --datastore local, and this is kubernetes'],
    [[...ENOUGH, '--redis-url=redis://x'], '--redis-url is for --datastore redis, and this is local'],
    [[...ENOUGH, '--kubeconfig=/x'], '--kubeconfig is for --datastore kubernetes, and this is local'],
  ] as const)
    t.equal(await refusal({ argv }), message)
})

t.test('the address of a Redis is needed, and a wrong one is refused without showing its password', async (t) => {
  const redis = ['--datastore=redis', '--cluster-cidr=10.42.0.0/16']
  t.match(await refusal({ argv: redis }), /^--redis-url is missing; give one like redis:/)
  for (const url of ['http://u:secret@h', 'secret', 'redis://', 'redis:secret'])
    t.equal(
      await refusal({ argv: [...redis, '--redis-url', url] }),
      '--redis-url is no address of a Redis; write it like redis://USER:PASSWORD@HOST:6379/0',
    )
  t.match(await parse({ argv: [...redis, '--redis-ca=/ca.pem'], env: { BRAMBLE_REDIS_URL: 'rediss://u:p@h:1/2' } }), {
    redis: { url: 'rediss://u:p@h:1/2', tls: { caFile: '/ca.pem' } },
    clusterCidrs: ['10.42.0.0/16'],
  })
})

t.test('--encrypt goes with auto and wireguard, and with nothing that does not encrypt', async (t) => {
  for (const routing of ['direct', 'vxlan', 'ipip'])
    t.equal(
      await refusal({ argv: [...ENOUGH, '--encrypt', '--routing', routing] }),
      `--encrypt leaves --routing ${routing} nothing to do; use auto or wireguard`,
    )
  for (const routing of ['auto', 'wireguard'])
    t.match(await parse({ argv: [...ENOUGH, '--encrypt', '--routing', routing] }), { isEncrypted: true, routing })
})

t.test('addresses, CIDRs and numbers that cannot be are refused by the name of their option', async (t) => {
  for (const [argv, message] of [
    [['--node-ip=pi-4.local'], /^--node-ip: .*"pi-4\.local" is no IPv4 address/],
    [['--node-ip=127.0.0.1'], /^--node-ip 127\.0\.0\.1 is in 127\.0\.0\.0\/8, loopback .*; give one by which/],
    [['--node-ip=::ffff:10.0.0.1'], /^--node-ip ::ffff:a00:1 is in ::ffff:0:0\/96, IPv4-mapped/],
    [['--node-ip=10.0.0.1', '--node-ip=10.0.0.2'], /^--node-ip: 10\.0\.0\.1 and 10\.0\.0\.2 are of one family/],
    [['--cluster-cidr=10.42.0.0/16,10.43.0.0/16'], /^--cluster-cidr: .* are both IPv4; give one of each family/],
    [['--cluster-cidr=127.0.0.0/8'], /^--cluster-cidr 127\.0\.0\.0\/8 overlaps 127\.0\.0\.0\/8, loopback/],
    [['--service-cidr=10.43.0.1/16'], /^--service-cidr: .*10\.43\.0\.0\/16/],
    [['--no-masquerade-cidr=lan'], /^--no-masquerade-cidr: /],
    [['--node-mask=31'], /^--node-mask must be a whole number from 8 to 30/],
    [['--node-mask-ipv6=127'], /^--node-mask-ipv6 must be a whole number from 16 to 126/],
    [['--wireguard-port=0'], /^--wireguard-port must be a whole number from 1 to 65535/],
    [['--policy-wait=21'], /^--policy-wait must be a whole number from 0 to 20/],
    [['--wireguard-keepalive=-1'], /^--wireguard-keepalive must be a whole number from 0 to 65535/],
    [['--wireguard-key-file=key'], /^--wireguard-key-file "key" is not an absolute path/],
  ] as const)
    t.match(await refusal({ argv: [...ENOUGH, ...argv] }), message, argv.join(' '))
  for (const word of ['yes', '1', 'perhaps', 'True'])
    t.equal(
      await refusal({ argv: ENOUGH, env: { BRAMBLE_ENCRYPT: word } }),
      `--encrypt is "${word}"; write true or false`,
    )
  t.equal(await refusal({ file: 'encrypt: [true]' }), '--encrypt is [true]; write true or false')
})

t.test('--no-masquerade-cidr is an option of its own, and no denial of another', async (t) => {
  t.match(await parse({ argv: [...ENOUGH, '--no-masquerade-cidr', '10.0.0.0/8'] }), {
    masquerades: true,
    noMasqueradeCidrs: ['10.0.0.0/8'],
  })
  t.match(await refusal({ argv: [...ENOUGH, '--no-masquerade'] }), /unknown option/)
})

t.test('--metrics-address is an address with a port, or nothing at all', async (t) => {
  t.equal((await parse({ argv: [...ENOUGH, '--metrics-address='] }))?.metricsAddress, undefined)
  t.equal((await parse({ env: { BRAMBLE_METRICS_ADDRESS: '' } }))?.metricsAddress, undefined)
  t.same((await parse({ file: 'metrics-address: "[0::1]:80"' }))?.metricsAddress, { host: '::1', port: 80 })
  for (const text of [
    '9739',
    ':9739',
    '127.0.0.1',
    'localhost:9739',
    '::1:9739',
    '[127.0.0.1]:1',
    '1.2.3.4:0',
    '1.2.3.4:65536',
  ])
    t.equal(
      await refusal({ argv: [...ENOUGH, `--metrics-address=${text}`] }),
      `--metrics-address "${text}" is no address with a port; write it like 127.0.0.1:9739 or [::1]:9739, or 0.0.0.0:9739 for all`,
    )
})
