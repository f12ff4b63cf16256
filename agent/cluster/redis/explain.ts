/** What Redis says, by the first word of its error (redis/src/server.c, createSharedObjects), in words with a remedy. */
const REPLIES: Readonly<Record<string, string>> = {
  LOADING: 'is reading its data from disk; waiting',
  READONLY: 'is a read-only replica (READONLY); point --redis-url at the primary',
  NOAUTH: 'wants a password (NOAUTH); write it into --redis-url: redis://USER:PASSWORD@HOST',
  WRONGPASS: 'refuses user name or password (WRONGPASS); look at those in --redis-url, and at `ACL LIST` of Redis',
  DENIED:
    'lets nobody in from other hosts while its user default has no password (protected mode); give it one with requirepass',
  NOPERM: 'does not permit its user all that is needed (NOPERM); docs/redis.md has the ACL line',
  MISCONF: 'cannot save to its disk and takes no changes (MISCONF); is the disk full?',
  OOM: 'has no memory left and takes no changes (OOM); raise its maxmemory',
  NOREPLICAS: 'has too few replicas and takes no changes (NOREPLICAS)',
  MASTERDOWN: 'is a replica that lost its primary (MASTERDOWN); point --redis-url at the primary',
  WRONGTYPE: 'has a key of ours that holds something else (WRONGTYPE); docs/redis.md says which keys hold what',
  BUSY: 'is busy with a script of somebody (BUSY)',
  MOVED: 'is part of a Redis Cluster (MOVED); a single Redis, or a primary with replicas, is needed',
  CROSSSLOT: 'is part of a Redis Cluster (CROSSSLOT); a single Redis, or a primary with replicas, is needed',
  CLUSTERDOWN: 'is part of a Redis Cluster (CLUSTERDOWN); a single Redis, or a primary with replicas, is needed',
}

const UNTRUSTED = [
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_GET_ISSUER_CERT',
  'CERT_SIGNATURE_FAILURE',
]

/**
 * Why Redis cannot be used now: goes on after its name, `redis://10.0.0.1:6379: …`. Pure.
 * @param redact takes the password out of what Redis repeats, before that is cut: half of a password is one, too
 */
export function explain(error: Error, redact: (text: string) => string): string {
  const { code, message, command } = error as NodeJS.ErrnoException & { command?: { name?: string } }
  if (code !== undefined && UNTRUSTED.includes(code))
    return `its certificate is not trusted (${code}); give the CA that signed it with --redis-ca`
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `its certificate is for another host (${code}); write the host into --redis-url as the certificate has it`
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID')
    return `its certificate is not valid now (${code}); is the clock right?`
  if (code !== undefined && /^(EPROTO|ERR_SSL_)/.test(code))
    return `does not speak TLS as we do (${code}); does the port want redis://, or a client certificate (--redis-cert)?`
  if (code !== undefined && /^ERR_OSSL_/.test(code))
    return `cannot be asked with these files for TLS (${code}); --redis-ca, --redis-cert and --redis-key are PEM`
  if (/^Socket timeout/.test(message)) return `not reachable (no answer for a while)`
  if (code !== undefined) return `not reachable (${code})`
  const [word = ''] = /^[A-Z]+(?= )/.exec(message) ?? []
  // What a script may not do: redis/src/script.c (7.0; the second one since 7.2) says so without the word of elsewhere.
  const isRefused = /user executing the script can't|ACL failure in script/.test(message)
  const known = REPLIES[word] ?? (isRefused ? REPLIES.NOPERM : undefined)
  if (known) return known
  const [said = ''] = message.split(', with args beginning with') // a password among them, perhaps cut already
  return `refuses ${command?.name ?? 'a command'} (${redact(said).slice(0, 120)})`
}
