import fc from 'fast-check'
import t from 'tap'
import { type AttachmentRecord, formatAlias, mayBeCut, networkMark, parseAlias } from '../../agent/alias.ts'
import { CONTAINER_ID_MAX } from '../../plugin/request.ts'

const ALIAS_BYTES_MAX = 255

const RECORD: AttachmentRecord = {
  containerId: 'c1',
  ifname: 'eth0',
  network: 'pods',
  addresses: ['10.42.0.7', 'fd42::7'],
  pod: 'default/web-0',
}

/** The longest there is of everything. */
const LONGEST: AttachmentRecord = {
  containerId: 'c'.repeat(CONTAINER_ID_MAX),
  ifname: 'fifteen_letters',
  network: networkMark('n'.repeat(200)),
  addresses: ['255.255.255.255', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  pod: `${'n'.repeat(63)}/${'p'.repeat(253)}`,
}

t.test('the alias is text that a person can read', async (t) => {
  t.equal(formatAlias(RECORD), 'bramble/1 c1 eth0 pods 10.42.0.7,fd42::7 - default/web-0')
})

t.test('parseAlias() is the way back from formatAlias()', async () => {
  const record = fc.record({
    containerId: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/),
    ifname: fc.stringMatching(/^[a-z0-9.@-]{1,15}$/),
    network: fc.stringMatching(/^[a-z][a-z0-9-]{0,60}$/).map(networkMark),
    addresses: fc.constantFrom(['10.42.0.7'], ['fd42::7'], ['10.42.0.7', 'fd42::7']),
    pod: fc.constantFrom('', 'default/web-0', 'kube-system/coredns-7c65d6cfc9-abcde'),
  })
  fc.assert(fc.property(record, (record) => JSON.stringify(parseAlias(formatAlias(record))) === JSON.stringify(record)))
})

t.test('the longest record fits into the alias; the pod is cut and nothing else', async (t) => {
  const alias = formatAlias(LONGEST)
  t.equal(Buffer.byteLength(alias), ALIAS_BYTES_MAX)
  const { pod, ...rest } = parseAlias(alias) ?? LONGEST
  const { pod: wholePod, ...expected } = LONGEST
  t.same(rest, expected)
  t.ok(wholePod.startsWith(pod) && pod.length >= 15)
  t.ok(mayBeCut({ ...LONGEST, pod }), 'and that it may have been is seen')
  t.notOk(mayBeCut(RECORD))
})

t.test('the UID of a pod is recorded where there is room for it and some of the name', async (t) => {
  const podUid = '6f2b0c1e-8f5d-4b57-9a63-0d8f6a0e7c11'
  t.equal(parseAlias(formatAlias({ ...RECORD, podUid }))?.podUid, podUid)
  t.same(parseAlias(formatAlias({ ...LONGEST, podUid })), parseAlias(formatAlias(LONGEST)))
  const usual = { ...LONGEST, containerId: 'c'.repeat(64), ifname: 'eth0', podUid }
  t.equal(parseAlias(formatAlias(usual))?.podUid, podUid)
})

t.test('an interface name of many bytes per letter does not make the alias too long', async (t) => {
  const alias = formatAlias({ ...LONGEST, ifname: '€€€€€' })
  t.equal(Buffer.byteLength(alias), ALIAS_BYTES_MAX)
  t.same(parseAlias(alias)?.ifname, '€€€€€')
})

t.test('a pod without a name, or with one that is none, is recorded as none', async (t) => {
  for (const pod of ['', 'a b/c', 'a/b\n', 'ä/b', '\0']) t.equal(parseAlias(formatAlias({ ...RECORD, pod }))?.pod, '')
})

t.test('parseAlias() takes no text for a record that is none', async (t) => {
  const whole = formatAlias(RECORD)
  for (const alias of [
    '',
    'bramble/1',
    'uplink to the cellar',
    whole.replace('bramble/1', 'bramble/2'),
    whole.replace('bramble/1', 'Bramble/1'),
    whole.split(' ').slice(0, -1).join(' '),
    'bramble/1 c1 eth0 pods  - default/web-0',
    'bramble/1 c1 eth0 pods 10.42.0.7, - default/web-0',
    'bramble/1 c1 eth0 pods 10.42.0.300 - default/web-0',
    'bramble/1 c1 eth0 pods 12345:: - default/web-0',
  ])
    t.equal(parseAlias(alias), undefined, alias)
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (noise) => parseAlias(noise) === undefined))
})

t.test('a short network name is its own mark, a long one is known by its digest', async (t) => {
  t.equal(networkMark('pods'), 'pods')
  t.equal(networkMark('n'.repeat(24)), 'n'.repeat(24))
  t.match(networkMark('n'.repeat(25)), /^sha256-[0-9a-f]{16}$/)
  t.not(networkMark('n'.repeat(25)), networkMark('n'.repeat(26)))
})
