import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { tryCluster } from '../../../agent/cluster/try-out.ts'
import { openTestLog } from '../observe/log.ts'
import { ApiDouble } from './kubernetes/api-double.ts'
import { CertificateAuthority } from './kubernetes/certificates.ts'
import { kubeconfigText } from './kubernetes/kubeconfig-text.ts'

const authority = await CertificateAuthority.make()
const tls = await authority.issue({ alternative: 'IP:127.0.0.1' })
const TOKEN = 'let-me-in'

async function cluster(t: Test, podCIDRs: readonly string[], token = TOKEN) {
  const api = await ApiDouble.start({ host: '127.0.0.1', tls, tokens: new Set([TOKEN]) })
  t.teardown(() => api.close())
  api.objects.put('/api/v1/nodes', { metadata: { name: 'n1' }, spec: { podCIDRs }, status: { addresses: [] } })
  const kubeconfig = join(t.testdir(), 'kubeconfig')
  const ca = Buffer.from(authority.cert).toString('base64')
  const access = { server: `https://127.0.0.1:${api.port}`, 'certificate-authority-data': ca }
  writeFileSync(kubeconfig, kubeconfigText(access, { token }))
  return { datastore: 'kubernetes', nodeName: 'n1', kubeconfig } as const
}

const { log } = openTestLog()

t.test('an agent that would get its pod CIDR could start', async (t) => {
  await tryCluster(await cluster(t, ['10.42.1.0/24']), log)
  t.pass()
})

t.test('one that would not is told why', async (t) => {
  await t.rejects(tryCluster(await cluster(t, []), log, 500), {
    code: 'JOIN',
    message: /^Node n1: has no spec.podCIDRs yet/,
  })
})

t.test('so is one that the API server does not let in', async (t) => {
  await t.rejects(tryCluster(await cluster(t, ['10.42.1.0/24'], 'of-yesterday'), log, 500), {
    code: 'JOIN',
    message: /does not accept our credentials \(401\)/,
  })
})

t.test('without an API server there is nothing to try', async (t) => {
  await tryCluster({ datastore: 'local', nodeName: 'n1' }, log)
  t.pass()
})
