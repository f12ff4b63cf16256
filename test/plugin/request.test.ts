import fc from 'fast-check'
import t from 'tap'
import { CNI_ERROR } from '../../plugin/errors.ts'
import { versionForErrors } from '../../plugin/network-config.ts'
import { CONTAINER_ID_MAX, isContainerId, isIfname, parseRequest } from '../../plugin/request.ts'
import { COMMANDS, CONFIG, ENV, type Env, PREV_RESULT, parse, parseText, refusal } from './requests.ts'

t.test('ADD gives container, interface, namespace and configuration', async (t) => {
  t.same(parse('ADD'), {
    command: 'ADD',
    containerId: 'c1',
    ifname: 'eth0',
    netns: '/run/netns/p',
    pod: '',
    allowsOwnNetns: false,
    config: { cniVersion: '1.1.0', name: 'pods', mtuBytes: 0 },
  })
})

t.test('DEL reads what it needs of the configuration, and no more', async (t) => {
  t.same(parse('DEL', { mtu: 'much', ipam: { type: 'host-local' }, prevResult: 7, runtimeConfig: { mac: 'x' } }), {
    command: 'DEL',
    containerId: 'c1',
    ifname: 'eth0',
    netns: '/run/netns/p',
    config: { cniVersion: '1.1.0', name: 'pods', mtuBytes: 0 },
  })
})

t.test('DEL needs no namespace', async (t) => {
  for (const netns of ['', undefined]) t.match(parse('DEL', {}, { CNI_NETNS: netns }), { command: 'DEL', netns: '' })
})

t.test('CHECK gives the previous result', async (t) => {
  t.match(parse('CHECK'), { command: 'CHECK', config: { prevResult: PREV_RESULT } })
})

t.test('CHECK without the previous result is refused', async (t) => {
  for (const prevResult of [undefined, null])
    t.same(
      refusal(() => parse('CHECK', { prevResult })),
      {
        code: CNI_ERROR.invalidConfig,
        message: 'prevResult is missing',
        details: 'CHECK needs the result of ADD as prevResult',
      },
    )
})

t.test('GC and STATUS need no container, interface or namespace', async (t) => {
  const none = { CNI_CONTAINERID: undefined, CNI_IFNAME: undefined, CNI_NETNS: undefined, CNI_PATH: undefined }
  t.same(parse('GC', {}, none), { command: 'GC', config: { cniVersion: '1.1.0', name: 'pods', mtuBytes: 0 } })
  t.same(parse('STATUS', {}, none), { command: 'STATUS', config: { cniVersion: '1.1.0', name: 'pods', mtuBytes: 0 } })
})

t.test('CNI_PATH is not demanded', async (t) => {
  for (const command of COMMANDS) t.equal(parse(command, {}, { CNI_PATH: undefined }).command, command)
})

t.test('an unknown command is code 4 and names the known ones', async (t) => {
  for (const command of ['UPDATE', 'add', ' ADD', '', 'constructor', '__proto__'])
    t.same(
      refusal(() => parse(command)),
      {
        code: CNI_ERROR.invalidEnvironment,
        message: `CNI_COMMAND is "${command}"`,
        details: 'use ADD, DEL, CHECK, GC, STATUS or VERSION',
      },
    )
})

t.test('missing variables are code 4 and named', async (t) => {
  for (const command of ['ADD', 'CHECK', 'DEL'])
    for (const nothing of ['', undefined]) {
      const missing = (...names: string[]) => {
        const env = Object.fromEntries(names.map((name) => [name, nothing]))
        return refusal(() => parse(command, {}, env))?.message
      }
      t.equal(missing('CNI_CONTAINERID'), 'CNI_CONTAINERID missing')
      t.equal(missing('CNI_IFNAME'), 'CNI_IFNAME missing')
      t.equal(missing('CNI_CONTAINERID', 'CNI_IFNAME'), 'CNI_CONTAINERID and CNI_IFNAME missing')
      t.equal(missing('CNI_NETNS'), command === 'DEL' ? undefined : 'CNI_NETNS missing')
      t.equal(refusal(() => parse(command, {}, { CNI_IFNAME: nothing }))?.code, CNI_ERROR.invalidEnvironment)
    }
})

t.test('a container id that is none is code 4 and named', async (t) => {
  for (const containerId of [
    '-a',
    '.',
    '_a',
    'a/b',
    '../x',
    'a b',
    'a\n',
    'ä',
    'a:b',
    'a'.repeat(CONTAINER_ID_MAX + 1),
  ])
    t.match(
      refusal(() => parse('ADD', {}, { CNI_CONTAINERID: containerId })),
      {
        code: CNI_ERROR.invalidEnvironment,
        message: /^CNI_CONTAINERID "[\s\S]+" is not valid$/,
        details: 'use a letter or digit, then letters, digits, "_", "." and "-"; at most 128 characters',
      },
    )
  for (const containerId of ['a', '0', 'A.b_c-d', 'a'.repeat(CONTAINER_ID_MAX)]) t.ok(isContainerId(containerId))
})

t.test('an interface name that the kernel would not take is code 4 and named', async (t) => {
  const wrong = ['.', '..', 'a/b', 'a:b', 'a b', 'a\tb', 'a\n', 'sixteen_letters_', 'ääääääää', 'a\u00a0b', 'a\u0001']
  for (const ifname of wrong)
    t.match(
      refusal(() => parse('ADD', {}, { CNI_IFNAME: ifname })),
      {
        code: CNI_ERROR.invalidEnvironment,
        message: `CNI_IFNAME "${ifname}" is not valid`,
        details: 'use 1 to 15 characters without "/", ":" and white space; not "." or ".."',
      },
    )
  for (const ifname of ['e', 'eth0', 'fifteen_letters', '...', 'net-1.2', 'äääääää']) t.ok(isIfname(ifname), ifname)
})

t.test(
  'an interface name that means something else to the kernel is code 4 for ADD and CHECK, and no hindrance to DEL',
  async (t) => {
    for (const ifname of ['all', 'default', 'eth%d', '%', 'a\ufffd']) {
      for (const command of ['ADD', 'CHECK'])
        t.match(
          refusal(() => parse(command, {}, { CNI_IFNAME: ifname })),
          { code: CNI_ERROR.invalidEnvironment, message: `CNI_IFNAME "${ifname}" cannot be the name of a link` },
        )
      t.match(parse('DEL', {}, { CNI_IFNAME: ifname }), { ifname })
    }
    for (const ifname of ['all0', 'defaults']) t.match(parse('ADD', {}, { CNI_IFNAME: ifname }), { ifname })
  },
)

t.test('a namespace that is no absolute path is code 4', async (t) => {
  for (const command of ['ADD', 'CHECK', 'DEL'])
    t.same(
      refusal(() => parse(command, {}, { CNI_NETNS: 'run/netns/p' })),
      {
        code: CNI_ERROR.invalidEnvironment,
        message: 'CNI_NETNS "run/netns/p" is not an absolute path',
        details: 'it is the path of the network namespace, like /run/netns/NAME',
      },
    )
})

t.test('a namespace path that no kernel takes is refused by its beginning; a DEL ends well without it', async (t) => {
  const longest = `/${'n'.repeat(4094)}`
  t.match(parse('ADD', {}, { CNI_NETNS: longest }), { netns: longest })
  for (const command of ['ADD', 'CHECK'])
    t.same(
      refusal(() => parse(command, {}, { CNI_NETNS: `${longest}n` })),
      {
        code: CNI_ERROR.invalidEnvironment,
        message: `CNI_NETNS "${longest.slice(0, 77)}..." is longer than the 4095 bytes of a path`,
        details: 'it is the path of the network namespace, like /run/netns/NAME',
      },
    )
  t.match(parse('DEL', {}, { CNI_NETNS: `${longest}n` }), { command: 'DEL' })
})

t.test("only CNI_NETNS_OVERRIDE TRUE or 1 allows the plugin's own namespace", async (t) => {
  const allows = (value: string | undefined) => {
    const request = parse('ADD', {}, { CNI_NETNS_OVERRIDE: value })
    return request.command === 'ADD' && request.allowsOwnNetns
  }
  for (const value of ['TRUE', 'true', '1']) t.ok(allows(value), value)
  for (const value of [undefined, '', '0', 'FALSE', 'yes', '11', 'true ']) t.notOk(allows(value), value ?? 'not set')
})

t.test('the pod is read from CNI_ARGS in any order', async () => {
  const args = [
    'K8S_POD_NAMESPACE=default',
    'K8S_POD_NAME=web-0',
    'K8S_POD_UID=7b8c',
    'K8S_POD_INFRA_CONTAINER_ID=c1',
    'IgnoreUnknown=1',
  ]
  fc.assert(
    fc.property(fc.shuffledSubarray(args, { minLength: args.length }), (shuffled) => {
      const request = parse('ADD', {}, { CNI_ARGS: shuffled.join(';') })
      return request.command === 'ADD' && request.pod === 'default/web-0' && request.podUid === '7b8c'
    }),
  )
})

t.test('CNI_ARGS that name no pod give none, and are no reason to refuse', async (t) => {
  for (const args of [
    '',
    ';;;',
    '=',
    'K8S_POD_NAME=web',
    'K8S_POD_NAMESPACE=default',
    'K8S_POD_NAMESPACE;K8S_POD_NAME',
    'K8S_POD_NAMESPACE=;K8S_POD_NAME=web',
    'K8S_POD_NAMESPACE=default;K8S_POD_NAME=a b',
    'K8S_POD_NAMESPACE=default;K8S_POD_NAME=\u001b[2J',
    'K8S_POD_NAMESPACE=../..;K8S_POD_NAME=web',
    `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${'a'.repeat(254)}`,
  ])
    t.match(parse('ADD', {}, { CNI_ARGS: args }), { pod: '' }, args)
})

t.test('GC without a set of valid attachments has none to go by', async (t) => {
  t.notOk('validAttachments' in parse('GC'))
})

t.test('GC with null or [] means that no attachment is valid', async (t) => {
  for (const list of [null, []]) t.match(parse('GC', { 'cni.dev/valid-attachments': list }), { validAttachments: [] })
})

t.test('GC gives the valid attachments', async (t) => {
  const list = [
    { containerID: 'c1', ifname: 'eth0' },
    { containerID: 'c1', ifname: 'eth1', more: 1 },
  ]
  const request = parse('GC', { 'cni.dev/valid-attachments': list })
  t.same(request.command === 'GC' && request.validAttachments, [
    { containerId: 'c1', ifname: 'eth0' },
    { containerId: 'c1', ifname: 'eth1' },
  ])
})

t.test('GC with a set that cannot be read removes nothing', async (t) => {
  for (const list of [{}, 'c1', 7, false, [7], [null], [{ containerID: 'c1' }], [{ containerID: 7, ifname: 'eth0' }]])
    t.same(
      refusal(() => parse('GC', { 'cni.dev/valid-attachments': list })),
      {
        code: CNI_ERROR.invalidConfig,
        message: '"cni.dev/valid-attachments" is not a list of {"containerID", "ifname"}',
        details: 'nothing was removed',
      },
    )
})

t.test('every refusal says what to do', async () => {
  const config = fc.dictionary(
    fc.constantFrom(
      'cniVersion',
      'name',
      'mtu',
      'ipam',
      'prevResult',
      'runtimeConfig',
      'dns',
      'cni.dev/valid-attachments',
    ),
    fc.oneof(fc.constantFrom('1.1.0', 'pods', 0), fc.jsonValue(), fc.constant({ ips: [{}] })),
    { noNullPrototype: true },
  )
  fc.assert(
    fc.property(fc.constantFrom(...COMMANDS, 'X'), config, (command, changes) => {
      const refused = refusal(() => parse(command, changes))
      return !refused || (refused.message !== '' && refused.details !== '')
    }),
    { numRuns: 1000 },
  )
})

t.test('noise gives a request or a CniError, and nothing else', async () => {
  const value = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('ADD', 'GC', 'eth0', '/x', 'a=b;c'))
  const key = fc.constantFrom('CNI_COMMAND', 'CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_NETNS', 'CNI_ARGS', '__proto__')
  const env = fc.dictionary(key, value)
  const stdin = fc.oneof(
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.json().map((text) => Buffer.from(text)),
    fc.object({ withNullPrototype: true }).map((config) => Buffer.from(JSON.stringify({ ...CONFIG, ...config }) ?? '')),
  )
  fc.assert(
    fc.property(fc.constantFrom(...COMMANDS), env, stdin, (command, env, stdin) => {
      refusal(() => parseRequest(env, stdin))
      refusal(() => parseRequest({ CNI_COMMAND: command, ...ENV }, stdin))
      versionForErrors(stdin)
    }),
    { numRuns: 2000 },
  )
})

t.test('huge input gives a request or a CniError of a few words', async (t) => {
  const long = 'x'.repeat(900_000)
  const deep = '['.repeat(400_000) + ']'.repeat(400_000)
  const inputs: [string, string, Env][] = [
    ['ADD', long, {}],
    ['ADD', deep, {}],
    ['ADD', JSON.stringify(long), {}],
    ['ADD', `{"cniVersion":${deep}}`, {}],
    ['ADD', `{"cniVersion":"1.1.0","name":${deep}}`, {}],
    ['ADD', `{"cniVersion":"1.1.0","name":"pods","mtu":${deep}}`, {}],
    ['ADD', JSON.stringify({ ...CONFIG, name: `-${long}` }), {}],
    ['ADD', JSON.stringify({ ...CONFIG, cniVersion: long }), {}],
    ['ADD', JSON.stringify(CONFIG), { CNI_CONTAINERID: long }],
    ['ADD', JSON.stringify(CONFIG), { CNI_IFNAME: long }],
    ['ADD', JSON.stringify(CONFIG), { CNI_NETNS: long }],
  ]
  for (const [command, stdin, env] of inputs) {
    const refused = refusal(() => parseText(command, stdin, env))
    t.ok(refused && refused.message.length < 200 && refused.details.length < 200, JSON.stringify(refused))
  }
  t.match(parse('ADD', {}, { CNI_ARGS: `K8S_POD_NAME=${long};`.repeat(3) }), { pod: '' })
  const list = Array.from({ length: 10_000 }, (_, index) => ({ containerID: `c${index}`, ifname: 'eth0' }))
  const request = parse('GC', { 'cni.dev/valid-attachments': list })
  t.equal(request.command === 'GC' && request.validAttachments?.length, 10_000)
})
