import t from 'tap'
import { ApiError, ApiProtocolError, UnreachableError } from '../../../../agent/cluster/kubernetes/errors.ts'
import { explain, roughly } from '../../../../agent/cluster/kubernetes/explain.ts'

const LIST_NODES = { verb: 'list', resource: 'nodes' } as const

t.test('each failure is told with what to do about it', async (t) => {
  const refused = (status: number, words = 'words') => new ApiError('GET /', status, 'Reason', words)
  const unreachable = (errno: string, words = 'words') => new UnreachableError('GET /', errno, words)
  for (const [error, words] of [
    [unreachable('ECONNREFUSED'), 'not reachable (ECONNREFUSED)'],
    [unreachable('ETIMEDOUT', 'no answer within 30 s'), 'not reachable (ETIMEDOUT, no answer within 30 s)'],
    [unreachable('EAI_AGAIN'), /its name cannot be resolved$/],
    [unreachable('CERT_NOT_YET_VALID'), /not valid yet by this node's clock; a Pi has none .*timedatectl/],
    [unreachable('CERT_HAS_EXPIRED'), /has expired by this node's clock; renew it, or set the clock/],
    [unreachable('UNABLE_TO_VERIFY_LEAF_SIGNATURE'), /not from the certificate authority that the configuration names/],
    [
      unreachable('ERR_TLS_CERT_ALTNAME_INVALID', "IP: 10.0.0.1 is not in the cert's list: 127.0.0.1"),
      /for other names; .*tls-server-name in the kubeconfig \(127\.0\.0\.1\)/,
    ],
    [unreachable('ERR_SSL_WRONG_VERSION_NUMBER'), /does not speak TLS there; is the port right\?/],
    [unreachable('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED'), /refuses our certificate/],
    [refused(401), /does not accept our credentials \(401\): .*make a new one/],
    [
      refused(403, 'nodes is forbidden: User "x"'),
      /does not let us list nodes \(403\): give a ClusterRole with the verb "list" on "nodes" to our user: nodes is forbidden: User "x"/,
    ],
    [
      refused(403, 'nodes "pi-2" is forbidden: ValidatingAdmissionPolicy \'x\' denied request: not this one'),
      /does not let us list nodes \(403\): nodes "pi-2" is forbidden: .* denied request: not this one$/,
    ],
    [refused(404, ''), /has no nodes to list \(404\): is this the API server of a Kubernetes cluster\?$/],
    [refused(429), 'has too much to do (429): words'],
    [refused(500), 'cannot list nodes: 500 Reason: words'],
    [
      new ApiProtocolError('GET /', 'answered with what is no JSON: <html>'),
      /<html>; is this an API server, or a proxy/,
    ],
    [new Error('other'), 'cannot list nodes: other'],
  ] as const)
    t.match(explain(error, LIST_NODES), words)
})

t.test('a duration is told in steps, so that it is not news each time', async (t) => {
  const MINUTE_MS = 60_000
  t.equal(roughly(MINUTE_MS - 1), 'less than a minute')
  t.equal(roughly(MINUTE_MS), 'more than 1 min')
  t.equal(roughly(4.9 * MINUTE_MS), 'more than 1 min')
  t.equal(roughly(20 * MINUTE_MS), 'more than 15 min')
  t.equal(roughly(59 * MINUTE_MS), 'more than 30 min')
  t.equal(roughly(150 * MINUTE_MS), 'more than 2 h')
})
