import { statSync } from 'node:fs'
import { hostname } from 'node:os'
import type { AgentState } from '../facts.ts'
import { shellWord } from '../finding.ts'
import type { Places } from '../places.ts'
import { outputOf } from './command.ts'

const UNIT = 'bramble-agent'
const LINES = 40
const WORDS = 3
/** pino: warn is 40. */
const WARN = 40

const POD_LOGS = '/var/log/pods'

type Log = Pick<AgentState, 'lastWords' | 'logCommand' | 'runsAs'>

/** Of an agent that answers: its log says more than its last words. */
export function runnerOf(places: Places): Omit<Log, 'lastWords'> {
  const newest = newestPodLog(places)
  if (newest) {
    const [namespace, pod] = newest.folder.split('_')
    return { runsAs: 'pod', logCommand: `kubectl -n ${namespace} logs ${pod} --tail=50` }
  }
  if (hasUnit(places)) return { runsAs: 'unit', logCommand: `journalctl -u ${UNIT} -n 50 --no-pager` }
  return { runsAs: 'pod', logCommand: podLogCommand() }
}

function hasUnit(places: Places): boolean {
  return ['/etc', '/run', '/usr/lib'].some((root) => places.has(`${root}/systemd/system/${UNIT}.service`))
}

/** In its own pod the agent sees neither units nor the folder of its log. */
function podLogCommand(): string {
  const node = process.env.BRAMBLE_NODE_NAME ?? hostname().toLowerCase()
  const pods = `kubectl -n kube-system get pods -l app.kubernetes.io/name=bramble --field-selector ${shellWord(`spec.nodeName=${node}`)} -o name`
  return `kubectl -n kube-system logs --tail=50 $(${pods})`
}

/** What the agent said before it went: from the journal, or from the log of its pod. */
export async function lastWordsOf(places: Places): Promise<Log> {
  const newest = newestPodLog(places)
  if (newest) {
    const [namespace, pod] = newest.folder.split('_')
    const lines = (places.read(newest.file) ?? '').split('\n').map(withoutCri)
    return { lastWords: wordsOf(lines), runsAs: 'pod', logCommand: `kubectl -n ${namespace} describe pod ${pod}` }
  }
  if (!hasUnit(places)) return { lastWords: [], ...runnerOf(places) }
  const journal = await outputOf('journalctl', ['-u', UNIT, '-n', String(LINES), '-o', 'cat', '--no-pager', '-q'])
  const lastWords = wordsOf((journal?.stdout ?? '').split('\n'))
  return { lastWords, runsAs: 'unit', logCommand: `systemctl status ${UNIT}` }
}

/** Of all that the DaemonSet has had on this node; kubelet names the folders NAMESPACE_POD_UID. */
function newestPodLog(places: Places): { readonly folder: string; readonly file: string } | undefined {
  const folders = places.list(POD_LOGS).filter((name) => /^[a-z0-9-]+_bramble-[a-z0-9]+_/.test(name))
  const files = folders.flatMap((folder) => {
    const path = `${POD_LOGS}/${folder}/agent`
    const logs = places.list(path).filter((name) => name.endsWith('.log'))
    return logs.map((name) => ({
      folder,
      file: `${path}/${name}`,
      changedMs: statSync(places.path(`${path}/${name}`), { throwIfNoEntry: false })?.mtimeMs ?? 0,
    }))
  })
  return files.toSorted((a, b) => a.changedMs - b.changedMs).at(-1)
}

/** `2026-08-01T10:00:00.0Z stdout F what was said` */
function withoutCri(line: string): string {
  return line.replace(/^\S+ (stdout|stderr) [FP] /, '')
}

/** What was not said in passing; the newest last. Pure. */
export function wordsOf(lines: readonly string[]): string[] {
  return lines
    .slice(-LINES)
    .flatMap((line) => wordOf(line.trim()))
    .slice(-WORDS)
}

function wordOf(line: string): string[] {
  if (line === '') return []
  if (!line.startsWith('{')) return [line]
  try {
    const { level, msg, err } = JSON.parse(line)
    return level >= WARN ? [err?.message ? `${msg}: ${err.message}` : String(msg)] : []
  } catch {
    return [line]
  }
}
