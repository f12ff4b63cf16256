import {
  labelled,
  labelledAny,
  type MatrixCase,
  type MatrixStep,
  namespace,
  pod,
  policy,
  type Reach,
} from './matrix.ts'
import type { RawNetworkPolicy, RawPeer } from './oracle-objects.ts'

/** The cases of Kubernetes' own suite (test/e2e/network/netpol/network_policy.go), by their names there, expectations by hand. */

const NAME = 'kubernetes.io/metadata.name'
const A = labelled('pod', 'a')
const B = labelled('pod', 'b')
const EVERYBODY = {}

/** @param addressOf of the pods that there are at the beginning, of the family that is probed */
export function upstreamCases(addressOf: (pod: string) => string): MatrixCase[] {
  return [...ingressCases(), ...portCases(), ...changeCases(), ...egressCases(), ...cidrCases(addressOf)]
}

const one = (name: string, put: readonly RawNetworkPolicy[], expected: MatrixStep['expected'] = {}): MatrixCase => ({
  name,
  steps: [{ put, expected }],
})

const toA = (...from: readonly RawPeer[]) => policy('x', 'to-a', A, { ingress: [{ from }] })
const all = (...reach: string[]): Record<string, Reach> => ({ '*': reach })

function ingressCases(): MatrixCase[] {
  return [
    one("'default-deny-ingress' policy", [policy('x', 'deny', EVERYBODY, { ingress: [] })], all('- * > x/*')),
    one(
      "'default-deny-all' policy",
      [policy('x', 'deny', EVERYBODY, { ingress: [], egress: [] })],
      all('- * > x/*', '- x/* > *'),
    ),
    one(
      'from pods within server namespace based on PodSelector',
      [toA({ podSelector: B })],
      all('- * > x/a', '+ x/b > x/a'),
    ),
    one(
      'ingress traffic for a target',
      [policy('x', 'deny', EVERYBODY, { ingress: [] }), toA({ podSelector: EVERYBODY, namespaceSelector: EVERYBODY })],
      all('- * > x/*', '+ * > x/a'),
    ),
    one('from pods in all namespaces', [toA({ namespaceSelector: { matchLabels: {} } })], all()),
    one(
      'only from a different namespace, based on NamespaceSelector',
      [toA({ namespaceSelector: labelled('ns', 'y') })],
      all('- * > x/a', '+ y/* > x/a'),
    ),
    one(
      'PodSelector with MatchExpressions',
      [toA({ podSelector: labelledAny('pod', 'In', 'b') })],
      all('- * > x/a', '+ x/b > x/a'),
    ),
    one(
      'NamespaceSelector with MatchExpressions',
      [toA({ namespaceSelector: labelledAny('ns', 'In', 'y') })],
      all('- * > x/a', '+ y/* > x/a'),
    ),
    one(
      'PodSelector or NamespaceSelector',
      [toA({ namespaceSelector: labelledAny('ns', 'NotIn', 'x') }, { podSelector: B })],
      all('- x/* > x/a', '+ x/b > x/a'),
    ),
    one(
      'PodSelector and NamespaceSelector',
      [toA({ namespaceSelector: labelledAny('ns', 'NotIn', 'x'), podSelector: B })],
      all('- * > x/a', '+ y/b > x/a', '+ z/b > x/a'),
    ),
    one(
      'Multiple PodSelectors and NamespaceSelectors',
      [toA({ namespaceSelector: labelledAny('ns', 'NotIn', 'x'), podSelector: labelledAny('pod', 'In', 'b', 'c') })],
      all('- * > x/a', '+ y/* > x/a', '+ z/* > x/a', '- y/a > x/a', '- z/a > x/a'),
    ),
    one(
      'any PodSelectors',
      [toA({ podSelector: B }, { podSelector: labelled('pod', 'c') })],
      all('- * > x/a', '+ x/b > x/a', '+ x/c > x/a'),
    ),
    one(
      'only from a pod in a different namespace',
      [toA({ namespaceSelector: labelled('ns', 'y'), podSelector: A })],
      all('- * > x/a', '+ y/a > x/a'),
    ),
    one(
      'deny ingress from pods on other namespaces',
      [policy('x', 'own', EVERYBODY, { ingress: [{ from: [{ podSelector: { matchLabels: {} } }] }] })],
      all('- y/* > x/*', '- z/* > x/*'),
    ),
    one(
      'NamespaceSelector with MatchLabels using default ns label',
      [toA({ namespaceSelector: labelled(NAME, 'y') })],
      all('- * > x/a', '+ y/* > x/a'),
    ),
  ]
}

function portCases(): MatrixCase[] {
  const fromY = { namespaceSelector: labelled('ns', 'y') }
  const onPort = (port: number | string, protocol = 'TCP', name = `port-${port}`) =>
    policy('x', name, A, { ingress: [{ from: [fromY], ports: [{ port, protocol }] }] })
  const fromYAlone = ['- * > x/a', '+ y/* > x/a']
  const nobody = ['- * > x/a']
  return [
    ...['TCP', 'UDP', 'SCTP'].map((protocol) =>
      one(`Ports, ${protocol}`, [onPort(81, protocol)], { [`81/${protocol}`]: fromYAlone, '*': nobody }),
    ),
    {
      name: 'multiple, stacked policies with overlapping podSelectors',
      steps: [
        { put: [onPort(81)], expected: { '81/TCP': fromYAlone, '*': nobody } },
        { put: [onPort(80)], expected: { '80/TCP': fromYAlone, '81/TCP': fromYAlone, '*': nobody } },
      ],
    },
    one('allow-all policy', [policy('x', 'open', EVERYBODY, { ingress: [{}] })], all()),
    one(
      'ingress access on one named port',
      [policy('x', 'named', EVERYBODY, { ingress: [{ ports: [{ port: 'serve-81-tcp' }] }] })],
      { '81/TCP': [], '*': ['- * > x/*'] },
    ),
    one('ingress access from namespace on one named port', [onPort('serve-80-tcp')], {
      '80/TCP': fromYAlone,
      '*': nobody,
    }),
    one(
      'egress access on one named port',
      [policy('x', 'named', EVERYBODY, { egress: [{ ports: [{ port: 'serve-80-tcp' }] }] })],
      { '80/TCP': [], '*': ['- x/* > *'] },
    ),
    one(
      'any port traffic to a server on a specific protocol',
      [policy('x', 'tcp', A, { ingress: [{ ports: [{ protocol: 'TCP' }] }] })],
      { '80/TCP': [], '81/TCP': [], '*': nobody },
    ),
    one(
      "not mistakenly treat 'protocol: SCTP' as 'protocol: TCP'",
      [
        policy('x', 'deny', EVERYBODY, { ingress: [] }),
        policy('x', 'sctp', A, { ingress: [{ ports: [{ port: 81, protocol: 'SCTP' }] }] }),
      ],
      { '81/SCTP': ['- * > x/*', '+ * > x/a'], '*': ['- * > x/*'] },
    ),
    one(
      'isolate pods that are selected by a policy allowing SCTP',
      [policy('x', 'sctp', A, { ingress: [{ ports: [{ port: 80, protocol: 'SCTP' }] }] })],
      { '80/SCTP': [], '*': nobody },
    ),
    one(
      'not allow access by TCP when a policy specifies only UDP',
      [policy('x', 'udp', A, { ingress: [{ ports: [{ port: 81, protocol: 'UDP' }] }] })],
      { '81/UDP': [], '*': nobody },
    ),
  ]
}

function changeCases(): MatrixCase[] {
  const changing = (ingress: RawNetworkPolicy['spec']['ingress']) =>
    policy('x', 'changes', EVERYBODY, ingress ? { ingress } : {})
  const deny = policy('x', 'deny', EVERYBODY, { ingress: [], egress: [] })
  return [
    {
      name: 'updated policy',
      steps: [
        { put: [changing([{}])], expected: all() },
        { put: [changing([])], expected: all('- * > x/*') },
      ],
    },
    {
      name: 'ingress access from updated namespace',
      steps: [
        { put: [toA({ namespaceSelector: labelled('ns2', 'updated') })], expected: all('- * > x/a') },
        { put: [namespace('y', { ns2: 'updated' })], expected: all('- * > x/a', '+ y/* > x/a') },
        { put: [namespace('y')], expected: all('- * > x/a') },
      ],
    },
    {
      name: 'ingress access from updated pod',
      steps: [
        {
          put: [toA({ podSelector: { matchLabels: { pod: 'b', pod2: 'updated' } } })],
          expected: all('- * > x/a'),
        },
        { put: [pod('x/b', { pod2: 'updated' })], expected: all('- * > x/a', '+ x/b > x/a') },
      ],
    },
    {
      name: 'deny ingress access to updated pod',
      steps: [
        { put: [policy('x', 'deny', labelled('target', 'isolated'), { ingress: [] })], expected: all() },
        { put: [pod('x/a', { target: 'isolated' })], expected: all('- * > x/a') },
      ],
    },
    {
      name: 'multiple ingress policies with ingress allow-all policy taking precedence',
      steps: [
        {
          put: [policy('x', 'port-80', EVERYBODY, { ingress: [{ ports: [{ port: 80 }] }] })],
          expected: { '80/TCP': [], '*': ['- * > x/*'] },
        },
        { put: [policy('x', 'open', EVERYBODY, { ingress: [{}] })], expected: all() },
      ],
    },
    {
      name: 'multiple egress policies with egress allow-all policy taking precedence',
      steps: [
        {
          put: [policy('x', 'port-80', EVERYBODY, { egress: [{ ports: [{ port: 80 }] }] })],
          expected: { '80/TCP': [], '*': ['- x/* > *'] },
        },
        { put: [policy('x', 'open', EVERYBODY, { egress: [{}] })], expected: all() },
      ],
    },
    {
      name: 'stop enforcing policies after they are deleted',
      steps: [
        { put: [deny], expected: all('- * > x/*', '- x/* > *') },
        { remove: ['NetworkPolicy x/deny'], expected: all() },
      ],
    },
  ]
}

function egressCases(): MatrixCase[] {
  const toYA = { namespaceSelector: labelled('ns', 'y'), podSelector: A }
  const fromXA = { namespaceSelector: labelled('ns', 'x'), podSelector: A }
  return [
    one('deny egress from pods based on PodSelector', [policy('x', 'deny', A, { egress: [] })], all('- x/a > *')),
    one('deny egress from all pods in a namespace', [policy('x', 'deny', EVERYBODY, { egress: [] })], all('- x/* > *')),
    one(
      'Ingress, Egress specified together',
      [policy('x', 'both', A, { ingress: [{ from: [{ podSelector: B }] }], egress: [{ ports: [{ port: 80 }] }] })],
      {
        '80/TCP': ['- * > x/a', '+ x/b > x/a'],
        '*': ['- * > x/a', '+ x/b > x/a', '- x/a > *'],
      },
    ),
    one(
      'denying of egress traffic on the client side (even if the server explicitly allows this traffic)',
      [
        policy('x', 'to-y-a', A, { egress: [{ to: [toYA] }] }),
        policy('y', 'a-from-x-a', A, { ingress: [{ from: [fromXA] }] }),
        policy('y', 'b-from-x-a', B, { ingress: [{ from: [fromXA] }] }),
      ],
      all('- x/a > *', '- * > y/a', '- * > y/b', '+ x/a > y/a'),
    ),
    one(
      'egress policy allowing traffic to a server in a different namespace',
      [policy('x', 'to-y-a', A, { egress: [{ to: [toYA] }] })],
      all('- x/a > *', '+ x/a > y/a'),
    ),
    {
      name: 'ingress and egress policies can be controlled independently based on PodSelector',
      steps: [
        { put: [policy('x', 'out', A, { egress: [{}] })], expected: all() },
        { put: [policy('x', 'in', A, { ingress: [] })], expected: all('- * > x/a') },
      ],
    },
    one(
      'NamespaceSelector with MatchExpressions using default ns label',
      [policy('x', 'not-y', A, { egress: [{ to: [{ namespaceSelector: labelledAny(NAME, 'NotIn', 'y') }] }] })],
      all('- x/a > y/*'),
    ),
  ]
}

function cidrCases(addressOf: (pod: string) => string): MatrixCase[] {
  const block = (ipBlock: RawPeer['ipBlock'] & object) => policy('x', 'block', A, { egress: [{ to: [{ ipBlock }] }] })
  const alone = (pod: string) => `${addressOf(pod)}/${addressOf(pod).includes(':') ? 128 : 32}`
  const everywhere = addressOf('x/a').includes(':') ? '::/0' : '0.0.0.0/0'
  return [
    one('egress access to server in CIDR block', [block({ cidr: alone('y/b') })], all('- x/a > *', '+ x/a > y/b')),
    {
      name: 'except clause; an IP overlapping both IPBlock.CIDR and IPBlock.Except is allowed',
      steps: [
        { put: [block({ cidr: everywhere, except: [alone('x/b')] })], expected: all('- x/a > x/b') },
        { put: [block({ cidr: alone('x/b') })], expected: all('- x/a > *', '+ x/a > x/b') },
        {
          put: [
            policy('x', 'block', A, {
              egress: [
                { to: [{ ipBlock: { cidr: everywhere, except: [alone('x/b')] } }] },
                { to: [{ ipBlock: { cidr: alone('x/b') } }] },
              ],
            }),
          ],
          expected: all(),
        },
      ],
    },
  ]
}
