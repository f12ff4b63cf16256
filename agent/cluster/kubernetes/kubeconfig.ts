import { dirname, resolve } from 'node:path'
import { type ApiAccess, KubeconfigError, type Material } from './access.ts'

type Fields = Record<string, unknown>

/** A daemon starts nothing, and waits for nobody's browser. */
const REMEDY =
  'give the agent a ServiceAccount and write its token (user.token, user.tokenFile) or a client certificate here'
const REFUSED: Readonly<Record<string, string>> = {
  exec: `starts a program to log in, which the agent does not do; ${REMEDY}`,
  'auth-provider': `is a plugin, which the agent has none of; ${REMEDY}`,
  username: `is basic authentication, which Kubernetes 1.19 removed; ${REMEDY}`,
  as: `is impersonation, which the agent does not do; ${REMEDY}`,
}

/**
 * From a kubeconfig to the way to its current context's API server. Pure: names files and reads none.
 * @param path of the file itself: relative paths in it count from its folder
 * @param parse from YAML (or JSON, which is YAML) to a value; throws an Error with a message of one line
 * @throws KubeconfigError
 */
export function parseKubeconfig(text: string, path: string, parse: (text: string) => unknown): ApiAccess {
  const config = mapping(parsed(text, path, parse), path, 'the file')
  const contextName = config['current-context']
  if (typeof contextName !== 'string' || contextName === '')
    throw new KubeconfigError(
      path,
      'current-context',
      'is missing; name one of contexts[] (kubectl config use-context NAME)',
    )
  const context = entry(config, 'contexts', 'context', contextName, path, 'current-context')
  const clusterName = context.cluster
  const cluster = entry(config, 'clusters', 'cluster', clusterName, path, `context ${contextName}: cluster`)
  // Without a user the requests are anonymous: some proxy next door may stand for us.
  const user = context.user ? entry(config, 'users', 'user', context.user, path, `context ${contextName}: user`) : {}
  return accessOf(cluster, `cluster ${clusterName}:`, user, `user ${context.user}:`, path)
}

function accessOf(cluster: Fields, clusterName: string, user: Fields, userName: string, path: string): ApiAccess {
  for (const [name, reason] of Object.entries(REFUSED))
    if (user[name] !== undefined) throw new KubeconfigError(path, `${userName} ${name}`, reason)
  if (cluster['proxy-url'])
    throw new KubeconfigError(
      path,
      `${clusterName} proxy-url`,
      'cannot be used: the agent speaks to the API server itself',
    )
  const material = (fields: Fields, owner: string, name: string) => materialOf(fields, owner, name, path)
  const clientCertificate = material(user, userName, 'client-certificate')
  const clientKey = material(user, userName, 'client-key')
  if (!clientCertificate !== !clientKey)
    throw new KubeconfigError(
      path,
      `${userName} client-${clientKey ? 'certificate' : 'key'}`,
      `is missing, and client-${clientKey ? 'key' : 'certificate'} is there; both or neither`,
    )
  const server = serverOf(cluster.server, path, `${clusterName} server`)
  const token = tokenOf(user, userName, path)
  if (token && server.startsWith('http:') && !isLoopback(new URL(server).hostname))
    throw new KubeconfigError(
      path,
      `${clusterName} server`,
      `is ${server}, and everybody on the way would read the token; write https://`,
    )
  const ca = material(cluster, clusterName, 'certificate-authority')
  const serverName = optionalText(cluster, 'tls-server-name', path, clusterName)
  return {
    server,
    ...(ca && { ca }),
    ...(serverName && { serverName }),
    skipsTlsVerify: cluster['insecure-skip-tls-verify'] === true,
    ...(clientCertificate && clientKey && { clientCertificate, clientKey }),
    ...(token && { token }),
  }
}

/** The file is read again and again, so it goes before the text, as with kubectl. */
function tokenOf(user: Fields, owner: string, path: string): Material | undefined {
  const file = optionalText(user, 'tokenFile', path, owner)
  const text = optionalText(user, 'token', path, owner)
  if (file) return { file: resolve(dirname(path), file) }
  if (text && /[^\x21-\x7e]/.test(text))
    throw new KubeconfigError(path, `${owner} token`, 'has white space or other characters that no token has')
  return text ? { text } : undefined
}

/** `NAME-data` holds PEM in base64 and goes before `NAME`, a file. */
function materialOf(fields: Fields, owner: string, name: string, path: string): Material | undefined {
  const data = optionalText(fields, `${name}-data`, path, owner)
  const file = optionalText(fields, name, path, owner)
  if (!data) return file ? { file: resolve(dirname(path), file) } : undefined
  const text = Buffer.from(data, 'base64').toString('latin1')
  if (!text.includes('-----BEGIN '))
    throw new KubeconfigError(path, `${owner} ${name}-data`, 'is no PEM in base64 (base64 -w0 FILE makes it)')
  return { text }
}

function serverOf(value: unknown, path: string, what: string): string {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined
  if (!url || !['https:', 'http:'].includes(url.protocol))
    throw new KubeconfigError(path, what, `is ${quote(value)}; write it like https://10.0.0.1:6443`)
  if (url.username || url.search || url.hash)
    throw new KubeconfigError(path, what, 'has a user, a query or a fragment; write it like https://10.0.0.1:6443')
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '')
}

/** The mapping under `key` of the list's entry with that name. */
function entry(config: Fields, list: string, key: string, name: unknown, path: string, what: string): Fields {
  const entries = Array.isArray(config[list]) ? (config[list] as unknown[]) : []
  const named = entries.filter((one): one is Fields => typeof one === 'object' && one !== null)
  const found = named.find((one) => one.name === name)
  if (!found) {
    const there = named.map((one) => one.name).join(', ') || 'none'
    throw new KubeconfigError(path, what, `is ${quote(name)}, which is not in ${list}[] (there: ${there})`)
  }
  return mapping(found[key] ?? {}, path, `${list}[] ${name}: ${key}`)
}

function mapping(value: unknown, path: string, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new KubeconfigError(path, what, 'is no mapping; is this a kubeconfig?')
  return value as Fields
}

/** @throws KubeconfigError without the value: it may be secret */
function optionalText(fields: Fields, name: string, path: string, owner: string): string | undefined {
  const value = fields[name]
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value !== 'string') throw new KubeconfigError(path, `${owner} ${name}`, 'is no text; put it into quotes')
  return value
}

function parsed(text: string, path: string, parse: (text: string) => unknown): unknown {
  try {
    return parse(text)
  } catch (error) {
    throw new KubeconfigError(path, 'the file', `cannot be parsed: ${(error as Error).message.split('\n')[0]}`, {
      cause: error,
    })
  }
}

const isLoopback = (hostname: string) => /^(localhost|127\.[\d.]+|\[::1\])$/.test(hostname)

function quote(value: unknown): string {
  return JSON.stringify(value) ?? 'missing'
}
