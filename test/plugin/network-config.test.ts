import t from 'tap'
import { CNI_ERROR } from '../../plugin/errors.ts'
import { CNI_VERSIONS, versionForErrors } from '../../plugin/network-config.ts'
import { COMMANDS, CONFIG, configOf, parse, parseText, refusal } from './requests.ts'

t.test('each version is matched exactly, and each command has its first', async (t) => {
  const accepted = (command: string) =>
    CNI_VERSIONS.filter((cniVersion) => refusal(() => parse(command, { cniVersion })) === undefined)
  t.same(accepted('ADD'), ['0.3.1', '0.4.0', '1.0.0', '1.1.0'])
  t.same(accepted('DEL'), ['0.3.1', '0.4.0', '1.0.0', '1.1.0'])
  t.same(accepted('CHECK'), ['0.4.0', '1.0.0', '1.1.0'])
  t.same(accepted('GC'), ['1.1.0'])
  t.same(accepted('STATUS'), ['1.1.0'])
  for (const cniVersion of CNI_VERSIONS) t.equal(configOf(parse('ADD', { cniVersion })).cniVersion, cniVersion)
})

t.test('a version that we do not speak is code 1 and names those that we do', async (t) => {
  for (const cniVersion of ['0.2.0', '0.3.0', '1.1', '1.1.1', 'v1.1.0', '1.1.0 ', '2.0.0'])
    t.same(
      refusal(() => parse('DEL', { cniVersion })),
      {
        code: CNI_ERROR.incompatibleVersion,
        message: `cniVersion "${cniVersion}" is not supported for DEL`,
        details: 'use one of 0.3.1, 0.4.0, 1.0.0, 1.1.0',
      },
    )
  t.match(
    refusal(() => parse('GC', { cniVersion: '1.0.0' })),
    { code: CNI_ERROR.incompatibleVersion, details: 'use one of 1.1.0' },
  )
  for (const cniVersion of [1, null, true, ['1.1.0'], { is: '1.1.0' }])
    t.equal(refusal(() => parse('ADD', { cniVersion }))?.code, CNI_ERROR.incompatibleVersion)
})

t.test('no version means 0.1.0, which we do not speak', async (t) => {
  for (const cniVersion of [undefined, ''])
    t.match(
      refusal(() => parse('ADD', { cniVersion })),
      { code: CNI_ERROR.incompatibleVersion, message: 'cniVersion "0.1.0" is not supported for ADD' },
    )
})

t.test('an error is written in the version of its configuration, or in the newest', async (t) => {
  for (const version of CNI_VERSIONS)
    t.equal(versionForErrors(Buffer.from(JSON.stringify({ cniVersion: version }))), version)
  for (const stdin of ['', '{', '[]', '{}', '{"cniVersion":"0.2.0"}', '{"cniVersion":7}', '\xff'])
    t.equal(versionForErrors(Buffer.from(stdin, 'latin1')), '1.1.0')
})

t.test('a configuration that is no JSON is code 6', async (t) => {
  for (const command of COMMANDS)
    t.same(
      refusal(() => parseText(command, '')),
      {
        code: CNI_ERROR.decode,
        message: 'Cannot read the network configuration: stdin is empty',
        details: 'give one JSON object on stdin',
      },
    )
  for (const stdin of ['{', 'x', '{"name":}', '{} {}', Buffer.from([0x7b, 0xff, 0x7d])])
    t.match(
      refusal(() => parseText('ADD', stdin)),
      { code: CNI_ERROR.decode, message: /^Cannot read the network configuration: ./ },
    )
})

t.test('a configuration that is no object is code 6', async (t) => {
  t.equal(refusal(() => parseText('ADD', '[]'))?.message, 'The network configuration is a list')
  t.equal(refusal(() => parseText('ADD', 'null'))?.message, 'The network configuration is null')
  for (const stdin of ['[]', 'null', '7', '"text"', 'true'])
    t.equal(refusal(() => parseText('ADD', stdin))?.code, CNI_ERROR.decode)
})

t.test('a refusal shows nothing of the inside of a configuration: there may be tokens in it', async (t) => {
  const secret = 's3cret'
  const wrong = [
    `{"token":"${secret}",,"name":"pods"}`,
    `{"token":"${secret}"`,
    `{"a":1} "${secret}"`,
    `{"token":"${secret}" x}`,
    `["${secret}"]`,
    JSON.stringify({ ...CONFIG, mtu: { token: secret } }),
    JSON.stringify({ ...CONFIG, name: [secret] }),
    JSON.stringify({ ...CONFIG, prevResult: [secret] }),
    JSON.stringify({ ...CONFIG, prevResult: { ips: [{ token: secret }] } }),
    JSON.stringify({ ...CONFIG, ipam: { token: secret } }),
    JSON.stringify({ ...CONFIG, runtimeConfig: { mac: secret } }),
  ]
  for (const stdin of wrong) {
    const refused = refusal(() => parseText('ADD', stdin))
    t.ok(refused, stdin)
    t.notMatch(JSON.stringify(refused), secret)
  }
})

t.test('a missing or illegal network name is code 7', async (t) => {
  t.same(
    refusal(() => parse('ADD', { name: undefined })),
    {
      code: CNI_ERROR.invalidConfig,
      message: 'the network configuration has no "name"',
      details: 'use a letter or digit, then letters, digits, "_", "." and "-"',
    },
  )
  for (const name of ['', 'a b', '-a', 'a/b', 'a\n', 7, null, ['pods']])
    for (const command of COMMANDS)
      t.match(
        refusal(() => parse(command, { name })),
        { code: CNI_ERROR.invalidConfig, message: /^the network name .* is not valid$/ },
      )
})

t.test('mtu is a whole number of bytes from 68 to 65535, or 0', async (t) => {
  for (const mtu of [0, 68, 1280, 1500, 9000, 65_535]) t.equal(configOf(parse('ADD', { mtu })).mtuBytes, mtu)
  for (const mtu of [67, 65_536, -1, 1400.5, '1400', null, true, [], 1e300])
    t.match(
      refusal(() => parse('ADD', { mtu })),
      {
        code: CNI_ERROR.invalidConfig,
        message: /^"mtu" is /,
        details: "use a whole number of bytes from 68 to 65535, or 0 for the agent's own",
      },
    )
})

t.test('ipam is code 2: addresses come from the agent', async (t) => {
  t.same(
    refusal(() => parse('ADD', { ipam: { type: 'host-local' } })),
    {
      code: CNI_ERROR.unsupportedField,
      message: 'the network configuration has "ipam"',
      details: "remove it: addresses come from the agent's --pod-cidr",
    },
  )
  for (const ipam of [{}, null, '']) t.equal(parse('ADD', { ipam }).command, 'ADD')
})

t.test('unknown keys are tolerated', async (t) => {
  const config = { type: 'bramble', capabilities: { dns: true }, isGateway: true, args: { cni: {} }, xyz: [[]] }
  for (const command of COMMANDS) t.equal(parse(command, config).command, command)
})

t.test('a previous result that is none is code 7', async (t) => {
  const remedy = 'it must be what the plugin before bramble in the chain printed'
  for (const prevResult of ['text', 7, true, []])
    t.match(
      refusal(() => parse('ADD', { prevResult })),
      { code: CNI_ERROR.invalidConfig, message: /^"prevResult" is /, details: 'it must be a result object' },
    )
  for (const key of ['interfaces', 'ips', 'routes'])
    for (const list of [{}, 'eth0', 7, [7], [null], [[]]])
      t.same(
        refusal(() => parse('ADD', { prevResult: { [key]: list } })),
        { code: CNI_ERROR.invalidConfig, message: `"prevResult.${key}" is not a list of objects`, details: remedy },
      )
  for (const ip of [{}, { address: 7 }])
    t.same(
      refusal(() => parse('ADD', { prevResult: { ips: [ip] } })),
      { code: CNI_ERROR.invalidConfig, message: '"prevResult.ips" has an entry without "address"', details: remedy },
    )
})

t.test('null is as good as nothing in and for a previous result, as Go writes it', async (t) => {
  t.equal(configOf(parse('ADD', { prevResult: null })).prevResult, undefined)
  t.same(configOf(parse('ADD', { prevResult: { ips: null, routes: null } })).prevResult, { ips: null, routes: null })
})
