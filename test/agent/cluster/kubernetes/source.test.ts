import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import t from 'tap'
import yaml from 'yaml'
import { kubernetesSource } from '../../../../agent/cluster/kubernetes/source.ts'
import { ApiDouble } from './api-double.ts'
import { CertificateAuthority } from './certificates.ts'

const dir = mkdtempSync(join(tmpdir(), 'brmtest-kubeconfig-'))
const ca = await CertificateAuthority.make()
t.teardown(() => {
  rmSync(dir, { recursive: true })
  ca.remove()
})
const log = pino({ enabled: false })
const parse = (text: string) => yaml.parse(text)

t.test('a kubeconfig in YAML leads to the view, over TLS, with a token from a file', async (t) => {
  const tls = await ca.issue({ alternative: 'IP:127.0.0.1' })
  const double = await ApiDouble.start({ tls, tokens: new Set(['abc']) })
  t.teardown(() => double.close())
  double.objects.put('/api/v1/nodes', { metadata: { name: 'pi-1' }, spec: { podCIDRs: ['10.42.1.0/24'] } })
  const kubeconfig = join(dir, 'config')
  writeFileSync(join(dir, 'token'), 'abc\n')
  const config = {
    'current-context': 'home',
    contexts: [{ name: 'home', context: { cluster: 'pis', user: 'agent' } }],
    clusters: [
      {
        name: 'pis',
        cluster: { server: double.url, 'certificate-authority-data': Buffer.from(ca.cert).toString('base64') },
      },
    ],
    users: [{ name: 'agent', user: { tokenFile: 'token' } }],
  }
  writeFileSync(kubeconfig, yaml.stringify(config))
  const source = kubernetesSource({ nodeName: 'pi-1', kubeconfig, parse, log })
  t.teardown(() => source.close())
  t.match(await source.join(() => {}), [{ text: '10.42.1.0/24' }])
  const view = await new Promise<unknown>((resolve) => source.start((change) => resolve(change.view)))
  t.match(view, { nodes: new Map([['pi-1', { name: 'pi-1' }]]) })
})

t.test('a kubeconfig that is not there is told by its name', async (t) => {
  const kubeconfig = join(dir, 'none')
  t.throws(() => kubernetesSource({ nodeName: 'pi-1', kubeconfig, parse, log }), {
    code: 'KUBECONFIG',
    message: `${kubeconfig}: the file cannot be read: ENOENT; see --kubeconfig`,
  })
})

t.test('without one this must be a pod of a cluster', async (t) => {
  t.throws(() => kubernetesSource({ nodeName: 'pi-1', parse, log }), {
    code: 'KUBECONFIG',
    message: /KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT are not set.*give --kubeconfig FILE/,
  })
})
