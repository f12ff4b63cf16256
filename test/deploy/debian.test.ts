import t from 'tap'
import { PROJECT } from '../../deploy/image/bundle.ts'
import { debianSources } from '../../deploy/image/debian.ts'
import { Lock } from '../../deploy/image/npm.ts'

t.test('packages come from the mirror that apt uses here, security updates included, and are signed', (t) => {
  const lines = debianSources()
  t.equal(lines.length, 3)
  for (const line of lines)
    t.match(line, /^deb \[signed-by=\/usr\/share\/keyrings\/debian-archive-keyring\.gpg\] https?:\S+ \S+ main$/)
  t.match(lines[2], /debian-security\/? \S+-security main$/)
  t.end()
})

t.test('those of an older day come from that day of the archive', (t) => {
  const [first, , security] = debianSources('20261121T000000Z')
  t.match(first, / check-valid-until=no\] http:\/\/snapshot\.debian\.org\/archive\/debian\/20261121T000000Z \w+ main$/)
  t.match(security, '/archive/debian-security/20261121T000000Z ')
  t.end()
})

t.test('what is needed to run is found as Node finds it: the nearest of two versions', (t) => {
  const packages = new Lock(PROJECT).closure(['yargs', 'pino'])
  const places = packages.map(({ place }) => place)
  t.ok(places.includes('node_modules/yargs/node_modules/yargs-parser'))
  t.ok(places.includes('node_modules/sonic-boom'), "pino's")
  t.notOk(places.includes('node_modules/ioredis'))
  t.same(new Set(places).size, places.length)
  t.throws(() => new Lock(PROJECT).closure(['no-such-package']), /package-lock\.json has no no-such-package/)
  t.end()
})
