import t from 'tap'
import yaml from 'yaml'
import { inClusterAccess } from '../../../../agent/cluster/kubernetes/in-cluster.ts'
import { parseKubeconfig } from '../../../../agent/cluster/kubernetes/kubeconfig.ts'

const PEM = '-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n'
const PEM_DATA = Buffer.from(PEM).toString('base64')
const PATH = '/etc/bramble/kubeconfig'

const parse = (text: string) => yaml.parse(text)

interface Change {
  readonly cluster?: object
  readonly user?: object
  readonly top?: object
}

function kubeconfig({ cluster = {}, user = {}, top = {} }: Change = {}): string {
  return yaml.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'home',
    contexts: [{ name: 'home', context: { cluster: 'pis', user: 'agent' } }],
    clusters: [
      { name: 'other', cluster: { server: 'https://other:6443' } },
      { name: 'pis', cluster: { server: 'https://192.168.1.1:6443', ...cluster } },
    ],
    users: [{ name: 'agent', user }],
    ...top,
  })
}

const read = (change: Change) => parseKubeconfig(kubeconfig(change), PATH, parse)

t.test('server, authority and user of the current context are read', async (t) => {
  t.same(read({ cluster: { 'certificate-authority-data': PEM_DATA }, user: { token: 'abc' } }), {
    server: 'https://192.168.1.1:6443',
    ca: { text: PEM },
    skipsTlsVerify: false,
    token: { text: 'abc' },
  })
})

t.test('JSON is read as well', async (t) => {
  const json = JSON.stringify(yaml.parse(kubeconfig({ user: { token: 'abc' } })))
  t.match(parseKubeconfig(json, PATH, JSON.parse), { token: { text: 'abc' } })
})

t.test('files are relative to the kubeconfig, and data goes before a file', async (t) => {
  t.match(
    read({
      cluster: { 'certificate-authority': 'ca.crt' },
      user: { 'client-certificate': '/tls/client.crt', 'client-key': 'keys/client.key', tokenFile: 'token' },
    }),
    {
      ca: { file: '/etc/bramble/ca.crt' },
      clientCertificate: { file: '/tls/client.crt' },
      clientKey: { file: '/etc/bramble/keys/client.key' },
      token: { file: '/etc/bramble/token' },
    },
  )
  t.match(read({ cluster: { 'certificate-authority': 'ca.crt', 'certificate-authority-data': PEM_DATA } }), {
    ca: { text: PEM },
  })
  t.match(read({ user: { token: 'old', tokenFile: '/token' } }).token, { file: '/token' })
})

t.test('tls-server-name, insecure-skip-tls-verify and a path in the URL are taken over', async (t) => {
  t.match(
    read({
      cluster: {
        server: 'https://rancher.lan/k8s/clusters/c-1/',
        'tls-server-name': 'api.lan',
        'insecure-skip-tls-verify': true,
      },
    }),
    { server: 'https://rancher.lan/k8s/clusters/c-1', serverName: 'api.lan', skipsTlsVerify: true },
  )
})

t.test('without a user the requests are anonymous, as kubectl proxy has them', async (t) => {
  const top = { contexts: [{ name: 'home', context: { cluster: 'pis' } }] }
  t.same(read({ cluster: { server: 'http://127.0.0.1:8001' }, top }), {
    server: 'http://127.0.0.1:8001',
    skipsTlsVerify: false,
  })
})

t.test('a token is sent in plain text to this node alone', async (t) => {
  const user = { token: 'abc' }
  t.match(read({ cluster: { server: 'http://127.0.0.1:8001' }, user }), { token: { text: 'abc' } })
  t.throws(() => read({ cluster: { server: 'http://10.0.0.1:8001' }, user }), {
    code: 'KUBECONFIG',
    message: /everybody on the way would read the token; write https/,
  })
})

t.test('what cannot be used is refused with the file, the field and the remedy', async (t) => {
  const cases: readonly [Change, string | RegExp][] = [
    [{ top: { 'current-context': undefined } }, /^\/etc\/bramble\/kubeconfig: current-context is missing; name one of/],
    [
      { top: { 'current-context': 'work' } },
      `${PATH}: current-context is "work", which is not in contexts[] (there: home)`,
    ],
    [{ top: { clusters: [] } }, `${PATH}: context home: cluster is "pis", which is not in clusters[] (there: none)`],
    [{ top: { users: [] } }, `${PATH}: context home: user is "agent", which is not in users[] (there: none)`],
    [{ cluster: { server: undefined } }, /cluster pis: server is missing; write it like https:\/\/10\.0\.0\.1:6443/],
    [{ cluster: { server: '10.0.0.1:6443' } }, /cluster pis: server is "10\.0\.0\.1:6443"; write it like https/],
    [{ cluster: { server: 'https://me:secret@10.0.0.1' } }, /cluster pis: server has a user/],
    [{ cluster: { 'proxy-url': 'http://proxy' } }, /cluster pis: proxy-url cannot be used/],
    [{ cluster: { 'certificate-authority-data': 'rubbish' } }, /certificate-authority-data is no PEM in base64/],
    [
      { user: { exec: { command: 'aws' } } },
      /user agent: exec starts a program.* write its token .*client certificate/,
    ],
    [{ user: { 'auth-provider': { name: 'oidc' } } }, /user agent: auth-provider is a plugin.*write its token/],
    [{ user: { username: 'me', password: 'x' } }, /user agent: username is basic authentication/],
    [{ user: { as: 'admin' } }, /user agent: as is impersonation/],
    [{ user: { 'client-certificate-data': PEM_DATA } }, /user agent: client-key is missing.*both or neither/],
    [{ user: { 'client-key': 'k' } }, /user agent: client-certificate is missing, and client-key is there/],
    [{ user: { token: 12 } }, `${PATH}: user agent: token is no text; put it into quotes`],
    [{ user: { token: 'a\nb' } }, /user agent: token has white space/],
  ]
  for (const [change, message] of cases) t.throws(() => read(change), { code: 'KUBECONFIG', where: PATH, message })
  t.throws(() => parseKubeconfig('a: [', PATH, parse), { code: 'KUBECONFIG', message: /the file cannot be parsed: / })
  t.throws(() => parseKubeconfig('- 1', PATH, parse), {
    message: `${PATH}: the file is no mapping; is this a kubeconfig?`,
  })
})

t.test('no error shows a secret', async (t) => {
  for (const user of [{ token: 'sec ret' }, { token: 'secret', exec: {} }, { 'client-key-data': 'c2VjcmV0' }])
    try {
      read({ user })
      t.fail('was accepted')
    } catch (error) {
      t.notMatch((error as Error).message, /sec ?ret|c2VjcmV0/)
    }
})

t.test('in a pod the environment names the server, over IPv6 too', async (t) => {
  t.same(inClusterAccess({ KUBERNETES_SERVICE_HOST: '10.43.0.1', KUBERNETES_SERVICE_PORT: '443' }), {
    server: 'https://10.43.0.1:443',
    ca: { file: '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt' },
    skipsTlsVerify: false,
    token: { file: '/var/run/secrets/kubernetes.io/serviceaccount/token' },
  })
  t.match(inClusterAccess({ KUBERNETES_SERVICE_HOST: 'fd43::1', KUBERNETES_SERVICE_PORT: '443' }), {
    server: 'https://[fd43::1]:443',
  })
})

t.test('outside of a cluster the remedy is named', async (t) => {
  t.throws(() => inClusterAccess({}), { code: 'KUBECONFIG', message: /no pod of a cluster; give --kubeconfig FILE/ })
  t.throws(() => inClusterAccess({ KUBERNETES_SERVICE_HOST: 'a b', KUBERNETES_SERVICE_PORT: 'x' }), {
    code: 'KUBECONFIG',
    message: /are "a b", "x"; an address and a port are expected/,
  })
})
