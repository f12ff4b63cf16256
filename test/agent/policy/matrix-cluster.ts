import { clusterPolicy, labelled, type MatrixCase, type MatrixStep, policy, type Reach } from './matrix.ts'
import type { RawClusterNetworkPolicy, RawNetworkPolicy } from './oracle-objects.ts'

/** ClusterNetworkPolicy beside NetworkPolicy, as its conformance suite tries it; and audit. Expectations by hand. */

const NS = (name: string) => labelled('ns', name)
const X_A = { pods: { namespaceSelector: NS('x'), podSelector: labelled('pod', 'a') } }
const EVERYBODY = { namespaces: {} }
const X = { namespaces: NS('x') }
const Y = { namespaces: NS('y') }

type Spec = RawClusterNetworkPolicy['spec']

const admin = (name: string, priority: number, spec: Omit<Spec, 'tier' | 'priority'>) =>
  clusterPolicy(name, { tier: 'Admin', priority, ...spec })
const baseline = (name: string, spec: Omit<Spec, 'tier' | 'priority'>) =>
  clusterPolicy(name, { tier: 'Baseline', priority: 0, ...spec })
const all = (...reach: string[]): Record<string, Reach> => ({ '*': reach })
const single = (
  name: string,
  put: readonly (RawClusterNetworkPolicy | RawNetworkPolicy)[],
  expected: MatrixStep['expected'] = {},
): MatrixCase => ({ name, steps: [{ put, expected }] })

/** @param addressOf of the pods that there are at the beginning, of the family that is probed */
export function clusterCases(addressOf: (pod: string) => string): MatrixCase[] {
  return [...tierCases(), ...ruleCases(addressOf), ...auditCases()]
}

function tierCases(): MatrixCase[] {
  const denyX = policy('x', 'deny', {}, { ingress: [] })
  const openX = policy('x', 'open', {}, { ingress: [{}] })
  const denyFromY = { subject: X, ingress: [{ action: 'Deny', from: [Y] }] }
  return [
    single(
      'Admin: Deny comes before what a NetworkPolicy allows',
      [openX, admin('deny', 1, denyFromY)],
      all('- y/* > x/*'),
    ),
    single(
      'Admin: Accept comes before what a NetworkPolicy denies',
      [denyX, admin('accept', 1, { subject: X, ingress: [{ action: 'Accept', from: [Y] }] })],
      all('- * > x/*', '+ y/* > x/*'),
    ),
    single(
      'Admin: Pass leaves it to NetworkPolicies, whatever the tier says behind it',
      [
        denyX,
        admin('pass', 1, {
          subject: X,
          ingress: [
            { action: 'Pass', from: [Y] },
            { action: 'Accept', from: [EVERYBODY] },
          ],
        }),
      ],
      all('- y/* > x/*'),
    ),
    single(
      'Admin: the lower priority decides',
      [
        admin('accept', 1, { subject: X, ingress: [{ action: 'Accept', from: [Y] }] }),
        admin('deny', 2, { subject: X, ingress: [{ action: 'Deny', from: [EVERYBODY] }] }),
      ],
      all('- * > x/*', '+ y/* > x/*'),
    ),
    single(
      'Admin: of equal priorities the first by name decides',
      [
        admin('b-deny', 1, { subject: X, ingress: [{ action: 'Deny', from: [EVERYBODY] }] }),
        admin('a-accept', 1, { subject: X, ingress: [{ action: 'Accept', from: [Y] }] }),
      ],
      all('- * > x/*', '+ y/* > x/*'),
    ),
    single('Baseline: Deny, where no NetworkPolicy is', [baseline('deny', denyFromY)], all('- y/* > x/*')),
    single('Baseline: not asked where a NetworkPolicy isolates', [openX, baseline('deny', denyFromY)], all()),
    {
      name: 'Admin passes, Baseline denies, until a NetworkPolicy allows, until that is gone',
      steps: [
        {
          put: [
            admin('pass', 1, { subject: X, ingress: [{ action: 'Pass', from: [EVERYBODY] }] }),
            baseline('deny', denyFromY),
          ],
          expected: all('- y/* > x/*'),
        },
        { put: [openX], expected: all() },
        { remove: ['NetworkPolicy x/open'], expected: all('- y/* > x/*') },
        { remove: ['ClusterNetworkPolicy /deny'], expected: all() },
      ],
    },
    single(
      'egress: Deny to some pods alone, whatever they let in themselves',
      [openX, admin('deny', 1, { subject: Y, egress: [{ action: 'Deny', to: [X_A] }] })],
      all('- y/* > x/a'),
    ),
  ]
}

function ruleCases(addressOf: (pod: string) => string): MatrixCase[] {
  const alone = (pod: string) => `${addressOf(pod)}/${addressOf(pod).includes(':') ? 128 : 32}`
  const everywhere = addressOf('x/a').includes(':') ? '::/0' : '0.0.0.0/0'
  const tcp = (number: number) => ({ tcp: { destinationPort: { number } } })
  const udp = (start: number, end: number) => ({ udp: { destinationPort: { range: { start, end } } } })
  return [
    single(
      'protocols: a number, a range, a name',
      [
        admin('deny', 1, {
          subject: X_A,
          ingress: [
            { action: 'Deny', from: [EVERYBODY], protocols: [tcp(80), udp(79, 80)] },
            { action: 'Deny', from: [Y], protocols: [{ destinationNamedPort: 'serve-81-sctp' }] },
          ],
        }),
      ],
      { '80/TCP': ['- * > x/a'], '80/UDP': ['- * > x/a'], '81/SCTP': ['- y/* > x/a'], '*': [] },
    ),
    single(
      'networks: pods are addresses, too',
      [
        admin('networks', 1, {
          subject: X_A,
          egress: [
            { action: 'Accept', to: [{ networks: [alone('y/b')] }] },
            { action: 'Deny', to: [{ networks: [everywhere] }] },
          ],
        }),
      ],
      all('- x/a > *', '+ x/a > y/b'),
    ),
    single(
      'a rule that cannot be done denies all; one that accepts matches nobody',
      [
        admin('undoable', 1, {
          subject: X_A,
          egress: [
            { action: 'Accept', to: [{ domainNames: ['example.org'] }] },
            { action: 'Accept', to: [Y] },
            { action: 'Deny', to: [{ domainNames: ['example.com'] }] },
          ],
        }),
      ],
      all('- x/a > *', '+ x/a > y/*'),
    ),
  ]
}

function auditCases(): MatrixCase[] {
  const audit = { 'bramble.dev/mode': 'audit' }
  const deny = (annotations = {}) => policy('x', 'deny', {}, { ingress: [] }, annotations)
  const fromY = policy('x', 'from-y', {}, { ingress: [{ from: [{ namespaceSelector: NS('y') }] }] }, audit)
  return [
    {
      name: 'a policy that is put on audit isolates nobody, and again where it is taken off',
      steps: [
        { put: [deny()], expected: all('- * > x/*') },
        { put: [deny(audit)], expected: all() },
        { put: [deny()], expected: all('- * > x/*') },
      ],
    },
    single('what a policy on audit lets through stays let through', [deny(), fromY], all('- * > x/*', '+ y/* > x/*')),
  ]
}
