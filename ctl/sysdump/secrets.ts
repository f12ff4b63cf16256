import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Secrets of this node by their value, so that they are found wherever they turn up: in a log, in somebody's rules. */

const KEY_FILES = ['/run/bramble/wireguard.key', '/var/run/secrets/kubernetes.io/serviceaccount/token']
const CONFIG_FOLDER = '/etc/bramble'
/** A configuration is shorter. */
const CONFIG_BYTES_MAX = 1 << 20
const AGENT = /bramble-agent/
const URL_WITH_PASSWORD = /\b[a-z][a-z\d+.-]{0,20}:\/\/([^\s"'<>/@:]*):([^\s"'<>]+)@/gi
const PASSWORD_LINE = /^[ \t]*[\w-]*(?:password|token|secret)[\w-]*:[ \t]*["']?([^"'\s#][^"'\n]*?)["']?[ \t]*$/gim

export function knownSecrets(): string[] {
  const texts = [...configurations(), ...environments()]
  return [
    ...KEY_FILES.flatMap((path) => readOrNothing(path).trim()),
    ...texts.flatMap((text) => secretsIn(text)),
  ].filter((secret) => secret !== '')
}

/** Passwords in URLs, as they stand there and as they are meant, and values of lines that say what they are. */
export function secretsIn(text: string): string[] {
  const inUrls = Array.from(text.matchAll(URL_WITH_PASSWORD), ([, , password = '']) => password)
  const decoded = inUrls.flatMap((password) => decodedOrNothing(password))
  return [...inUrls, ...decoded, ...Array.from(text.matchAll(PASSWORD_LINE), ([, value = '']) => value)]
}

function configurations(): string[] {
  return namesIn(CONFIG_FOLDER).map((name) => readOrNothing(join(CONFIG_FOLDER, name)))
}

/** BRAMBLE_REDIS_URL and the like, one in a line, and the command lines. */
function environments(): string[] {
  return namesIn('/proc')
    .filter((name) => /^\d+$/.test(name) && AGENT.test(readOrNothing(`/proc/${name}/cmdline`)))
    .flatMap((pid) => ['environ', 'cmdline'].map((name) => readOrNothing(`/proc/${pid}/${name}`)))
    .map((text) => text.replaceAll('\0', '\n'))
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** What cannot be read cannot get into the archive either. */
function readOrNothing(path: string): string {
  try {
    return readFileSync(path, 'utf8').slice(0, CONFIG_BYTES_MAX)
  } catch {
    return ''
  }
}

function decodedOrNothing(text: string): string[] {
  try {
    return [decodeURIComponent(text)]
  } catch {
    return []
  }
}
