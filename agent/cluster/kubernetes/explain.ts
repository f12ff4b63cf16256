import { ApiError, ApiProtocolError, UnreachableError } from './errors.ts'

/** What was being done: for words like `list nodes`. */
export interface Attempt {
  readonly verb: 'get' | 'list' | 'watch' | 'patch' | 'create'
  /** `nodes`, or `networkpolicies.networking.k8s.io` */
  readonly resource: string
}

/** Node's words for OpenSSL's X509_V_ERR_… (deps/ncrypto, X509VerifyErrorCode) and its own, as a person would say them. */
const TLS_REASONS: Readonly<Record<string, string>> = {
  CERT_NOT_YET_VALID:
    "its certificate is not valid yet by this node's clock; a Pi has none that runs without power: is the time set (timedatectl)?",
  CERT_HAS_EXPIRED: "its certificate has expired by this node's clock; renew it, or set the clock (timedatectl)",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is not from the certificate authority that the configuration names',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is not from the certificate authority that the configuration names',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is not from the certificate authority that the configuration names',
  UNABLE_TO_GET_ISSUER_CERT: 'its certificate is not from the certificate authority that the configuration names',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    'its certificate is not from the certificate authority that the configuration names',
  CERT_SIGNATURE_FAILURE: 'its certificate is not from the certificate authority that the configuration names',
  ERR_TLS_CERT_ALTNAME_INVALID:
    'its certificate is for other names; reach it by one of those, or set tls-server-name in the kubeconfig',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS there; is the port right?',
  EPROTO: 'it does not speak TLS there, or not ours; is the port right?',
}

/** Why an attempt failed and what to do about it, in words for `status` and the log. Pure. */
export function explain(error: unknown, { verb, resource }: Attempt): string {
  if (error instanceof ApiError) return explainRefusal(error, verb, resource)
  if (error instanceof ApiProtocolError) return `${error.words}; is this an API server, or a proxy before it?`
  if (!(error instanceof UnreachableError)) return `cannot ${verb} ${resource}: ${(error as Error).message}`
  const { errno, words } = error
  if (TLS_REASONS[errno]) return `cannot be trusted (${errno}): ${TLS_REASONS[errno]}${namesIn(errno, words)}`
  if (/^ERR_SSL_.*ALERT|^ERR_SSL_.*CERTIFICATE/.test(errno))
    return `refuses our certificate (${errno}): is the client certificate of the configuration still valid?`
  if (errno === 'ENOTFOUND' || errno === 'EAI_AGAIN') return `not reachable (${errno}): its name cannot be resolved`
  return `not reachable (${errno}${errno === 'ETIMEDOUT' ? `, ${words}` : ''})`
}

function explainRefusal({ status, reason, words }: ApiError, verb: string, resource: string): string {
  switch (status) {
    case 401:
      return 'does not accept our credentials (401): the token or certificate is not of this cluster, or has ended; make a new one'
    case 403:
      // k8s.io/apiserver: of a ValidatingAdmissionPolicy, of a webhook; rights do not help there.
      if (/ denied (the )?request/.test(words)) return `does not let us ${verb} ${resource} (403): ${words}`
      return `does not let us ${verb} ${resource} (403): give a ClusterRole with the verb "${verb}" on "${resource}" to our user: ${words}`
    case 404:
      return `has no ${resource} to ${verb} (404): is this the API server of a Kubernetes cluster? ${words}`.trimEnd()
    case 429:
      return `has too much to do (429): ${words}`
    default:
      return `cannot ${verb} ${resource}: ${status} ${reason}: ${words}`
  }
}

/** Node lists the certificate's names. */
function namesIn(errno: string, words: string): string {
  const names = errno === 'ERR_TLS_CERT_ALTNAME_INVALID' ? /list: (.*)$|altnames: (.*)$/.exec(words) : null
  return names ? ` (${names[1] ?? names[2]})` : ''
}

/** In steps that grow, so that saying it again is news. Pure. */
export function roughly(ms: number): string {
  const minutes = Math.floor(ms / 60_000)
  if (minutes < 1) return 'less than a minute'
  if (minutes < 60) return `more than ${[30, 15, 5, 1].find((step) => step <= minutes)} min`
  return `more than ${Math.floor(minutes / 60)} h`
}
