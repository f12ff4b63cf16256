import t from 'tap'
import { CNI_ERROR, CniError } from '../../plugin/errors.ts'
import { CNI_VERSIONS, type CniResult, type CniVersion } from '../../plugin/network-config.ts'
import { type AttachmentSummary, missingFromResult, renderError, renderResult } from '../../plugin/result.ts'
import type { Dns } from '../../plugin/runtime-config.ts'

const ATTACHMENT: AttachmentSummary = {
  mtuBytes: 1450,
  host: { linkName: 'brm0123456789ab', mac: 'ee:ee:ee:ee:ee:ee' },
  pod: { linkName: 'eth0', mac: '02:00:00:00:00:07', netns: '/run/netns/p' },
  addresses: [
    { cidr: '10.42.0.7/32', gateway: '169.254.1.1' },
    { cidr: 'fd42::7/128', gateway: 'fe80::1' },
  ],
}

function render(cniVersion: CniVersion, more: { prevResult?: CniResult; dns?: Dns } = {}, attachment = ATTACHMENT) {
  // As the runtime gets it: through JSON.
  return JSON.parse(JSON.stringify(renderResult({ cniVersion, name: 'pods', mtuBytes: 0, ...more }, attachment)))
}

const hasIpVersion = (cniVersion: CniVersion) => cniVersion === '0.3.1' || cniVersion === '0.4.0'

/** An entry of `ips` as that version writes it. */
const ip = (cniVersion: CniVersion, version: '4' | '6', address: string, gateway: string, index: number) => ({
  ...(hasIpVersion(cniVersion) && { version }),
  address,
  gateway,
  interface: index,
})

for (const cniVersion of CNI_VERSIONS) {
  const mtu = cniVersion === '1.1.0' ? { mtu: 1450 } : {}
  const interfaces = [
    { name: 'brm0123456789ab', mac: 'ee:ee:ee:ee:ee:ee', ...mtu },
    { name: 'eth0', mac: '02:00:00:00:00:07', ...mtu, sandbox: '/run/netns/p' },
  ]

  t.test(`${cniVersion}: the result of ADD, whole`, async (t) => {
    t.strictSame(render(cniVersion), {
      cniVersion,
      interfaces,
      ips: [ip(cniVersion, '4', '10.42.0.7/32', '169.254.1.1', 1), ip(cniVersion, '6', 'fd42::7/128', 'fe80::1', 1)],
      routes: [
        { dst: '0.0.0.0/0', gw: '169.254.1.1' },
        { dst: '::/0', gw: 'fe80::1' },
      ],
    })
  })

  t.test(`${cniVersion}: a pod of one family has routes of that family only`, async (t) => {
    for (const [index, dst] of ['0.0.0.0/0', '::/0'].entries()) {
      const result = render(cniVersion, {}, { ...ATTACHMENT, addresses: ATTACHMENT.addresses.slice(index, index + 1) })
      t.equal(result.ips.length, 1)
      t.same(
        result.routes.map((route: { dst: string }) => route.dst),
        [dst],
      )
    }
  })

  t.test(`${cniVersion}: every address points at the container's interface`, async (t) => {
    for (const prevResult of [{}, { interfaces: [{ name: 'a' }] }, { interfaces: [{ name: 'a' }, { name: 'b' }] }]) {
      const { ips, interfaces } = render(cniVersion, { prevResult })
      for (const address of ips)
        t.match(interfaces[address.interface], { name: 'eth0', sandbox: '/run/netns/p' }, JSON.stringify(prevResult))
    }
  })

  t.test(`${cniVersion}: a previous result is echoed and added to`, async (t) => {
    const version = hasIpVersion(cniVersion) ? { version: '4' } : {}
    const prevResult = {
      interfaces: [{ name: 'lo', sandbox: '/run/netns/p', custom: 1 }],
      ips: [{ ...version, address: '127.0.0.2/8', interface: 0 }],
      routes: [{ dst: '192.0.2.0/24', gw: '127.0.0.3', mtu: 1200 }],
      dns: { nameservers: ['192.0.2.53'] },
    }
    t.strictSame(render(cniVersion, { prevResult }), {
      cniVersion,
      interfaces: [...prevResult.interfaces, ...interfaces],
      ips: [
        ...prevResult.ips,
        ip(cniVersion, '4', '10.42.0.7/32', '169.254.1.1', 2),
        ip(cniVersion, '6', 'fd42::7/128', 'fe80::1', 2),
      ],
      routes: [...prevResult.routes, { dst: '0.0.0.0/0', gw: '169.254.1.1' }, { dst: '::/0', gw: 'fe80::1' }],
      dns: prevResult.dns,
    })
  })

  t.test(`${cniVersion}: ips[].version is there up to 0.4.0 and gone from 1.0.0 on, for every entry`, async (t) => {
    for (const given of [{}, { version: '4' }]) {
      const { ips } = render(cniVersion, { prevResult: { ips: [{ ...given, address: '192.0.2.1/24' }] } })
      t.same(
        ips.map(({ version }: { version?: string }) => version),
        hasIpVersion(cniVersion) ? ['4', '4', '6'] : [undefined, undefined, undefined],
      )
    }
  })

  t.test(`${cniVersion}: null for a list of the previous result is an empty one`, async (t) => {
    const prevResult = { interfaces: null, ips: null, routes: null, dns: null } as unknown as CniResult
    t.strictSame(render(cniVersion, { prevResult }), render(cniVersion))
  })

  t.test(`${cniVersion}: dns is left out when it is empty`, async (t) => {
    t.notOk('dns' in render(cniVersion))
    t.notOk('dns' in render(cniVersion, { dns: {} }))
    t.notOk('dns' in render(cniVersion, { prevResult: { dns: {} } }))
  })

  t.test(`${cniVersion}: dns of the configuration goes before that of the previous result`, async (t) => {
    const dns = { nameservers: ['10.43.0.10'], search: ['svc'] }
    t.strictSame(render(cniVersion, { dns, prevResult: { dns: { domain: 'lan' } } }).dns, dns)
  })

  t.test(`${cniVersion}: an error has version, code, message and details`, async (t) => {
    const error = new CniError(CNI_ERROR.tryAgainLater, 'no address is free', 'delete a pod')
    t.strictSame(renderError(cniVersion, error), {
      cniVersion,
      code: 11,
      msg: 'no address is free',
      details: 'delete a pod',
    })
    t.strictSame(renderError(cniVersion, new CniError(CNI_ERROR.io, 'cannot read stdin')), {
      cniVersion,
      code: 5,
      msg: 'cannot read stdin',
    })
  })

  t.test(`${cniVersion}: a defect of ours is code 199 and points to the log`, async (t) => {
    t.strictSame(renderError(cniVersion, new TypeError('x is not a function')), {
      cniVersion,
      code: 199,
      msg: 'The agent failed in a way that it should not have',
      details: 'x is not a function; see the log of bramble-agent',
    })
    t.match(renderError(cniVersion, 'thrown text'), { code: 199, details: 'thrown text; see the log of bramble-agent' })
  })

  t.test(`${cniVersion}: what ADD printed shows all that CHECK looks for`, async (t) => {
    t.same(missingFromResult(render(cniVersion), ATTACHMENT), [])
    t.same(missingFromResult(render(cniVersion, { prevResult: { interfaces: [{ name: 'lo' }] } }), ATTACHMENT), [])
  })

  t.test(`${cniVersion}: what later plugins added to the result is no difference`, async (t) => {
    const result = render(cniVersion)
    result.interfaces.push({ name: 'ifb0' })
    result.ips.push({ address: '192.0.2.9/24' })
    t.same(missingFromResult(result, ATTACHMENT), [])
  })

  t.test(`${cniVersion}: a result that lacks the interface or an address is told so by name`, async (t) => {
    const { ips } = render(cniVersion)
    t.same(missingFromResult({ ips: ips.slice(1) }, ATTACHMENT), ['interface eth0', 'address 10.42.0.7/32'])
    t.same(missingFromResult({}, ATTACHMENT), ['interface eth0', 'address 10.42.0.7/32', 'address fd42::7/128'])
  })
}

t.test('the codes of the specification have their numbers, and ours begin at 100', async (t) => {
  const { kernel, alreadyExists, checkFailed, gcIncomplete, internal, ...specified } = CNI_ERROR
  t.same(Object.values(specified), [1, 2, 3, 4, 5, 6, 7, 8, 11, 50, 51])
  const ours = [kernel, alreadyExists, checkFailed, gcIncomplete, internal]
  t.ok(ours.every((code) => code >= 100) && new Set(ours).size === ours.length)
})
