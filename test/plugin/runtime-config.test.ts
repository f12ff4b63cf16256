import t from 'tap'
import { CNI_ERROR } from '../../plugin/errors.ts'
import { configOf, parse, refusal } from './requests.ts'

t.test('what runtimeConfig asks of other plugins is code 2 and names the way to have it', async (t) => {
  const remedies = {
    bandwidth: [{ IngressRate: 1_000_000, EgressRate: 0 }, /chain the "bandwidth" plugin/],
    mac: ['02:00:00:00:00:01', /remove the capability "mac"/],
    ips: [['10.42.0.7'], /addresses come from the agent's --pod-cidr/],
    ipRanges: [[[{ subnet: '10.1.0.0/16' }]], /addresses come from the agent's --pod-cidr/],
  } as const
  for (const [key, [value, details]] of Object.entries(remedies))
    for (const written of [key, key.toLowerCase(), key.toUpperCase(), key[0]?.toUpperCase() + key.slice(1)])
      t.match(
        refusal(() => parse('ADD', { runtimeConfig: { [written]: value } })),
        {
          code: CNI_ERROR.unsupportedField,
          message: `runtimeConfig asks for "${key.toLowerCase()}", which bramble does not do`,
          details,
        },
      )
})

t.test('what runtimeConfig leaves empty is not asked for', async (t) => {
  const runtimeConfig = { portMappings: [], PortMappings: null, bandwidth: {}, mac: '', ips: [], aliases: ['web'] }
  t.equal(configOf(parse('ADD', { runtimeConfig })).dns, undefined)
  for (const odd of [null, 7, 'text', []]) t.equal(parse('ADD', { runtimeConfig: odd }).command, 'ADD')
})

t.test('dns of runtimeConfig is read in any case, in the names of Go and of the documentation', async (t) => {
  const dns = { nameservers: ['10.43.0.10'], search: ['default.svc'], options: ['ndots:5'] }
  for (const written of [
    { dns: { servers: dns.nameservers, searches: dns.search, options: dns.options } },
    { dns: { Servers: dns.nameservers, Searches: dns.search, Options: dns.options } },
    { DNS: { NAMESERVERS: dns.nameservers, Search: dns.search, options: dns.options } },
  ])
    t.same(configOf(parse('ADD', { runtimeConfig: written })).dns, dns)
})

t.test("dns of runtimeConfig goes before the configuration's, unless it says nothing", async (t) => {
  const dns = { nameservers: ['1.1.1.1'], domain: 'lan' }
  const given = (runtimeDns: unknown) => configOf(parse('ADD', { dns, runtimeConfig: { dns: runtimeDns } })).dns
  t.same(given({ servers: ['8.8.8.8'] }), { nameservers: ['8.8.8.8'] })
  for (const nothing of [undefined, null, {}, { Servers: null, Searches: [], Options: null }])
    t.same(given(nothing), dns)
})

t.test('dns that a runtime could not read is left out', async (t) => {
  const dns = { nameservers: '1.1.1.1', domain: 7, search: [7], options: {}, more: 'x' }
  t.equal(configOf(parse('ADD', { dns })).dns, undefined)
  t.same(configOf(parse('ADD', { dns: { ...dns, domain: 'lan' } })).dns, { domain: 'lan' })
})
