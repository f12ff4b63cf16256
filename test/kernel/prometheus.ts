import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { until } from './agent.ts'

const ALERTS = fileURLToPath(new URL('../../deploy/monitoring/alerts.yaml', import.meta.url))
const FOLDER = '/run/prometheus'
const ADDRESS = '127.0.0.1:9090'

export interface Series {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [seconds: number, text: string]
}

/** Debian's prometheus in this scratch node, with our alert rules; it keeps its data on the node's /run, and ends with the test. */
export class Prometheus {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  /** @param targets as the job "bramble", every second */
  static async start(targets: readonly string[]): Promise<Prometheus> {
    mkdirSync(FOLDER, { recursive: true })
    const config = {
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: [ALERTS],
      scrape_configs: [{ job_name: 'bramble', static_configs: [{ targets }] }],
    }
    writeFileSync(`${FOLDER}/prometheus.yml`, JSON.stringify(config))
    const options = [`--config.file=${FOLDER}/prometheus.yml`, `--storage.tsdb.path=${FOLDER}/data`]
    const child = spawn(
      'setpriv',
      [
        '--pdeathsig',
        'KILL',
        'prometheus',
        ...options,
        `--web.listen-address=${ADDRESS}`,
        '--storage.tsdb.wal-compression',
      ],
      { stdio: ['ignore', 'ignore', 'ignore'] },
    )
    const prometheus = new Prometheus(child)
    await until('Prometheus is ready', async () => {
      if (child.exitCode !== null) throw new Error(`prometheus ended with ${child.exitCode}`)
      return fetch(`http://${ADDRESS}/-/ready`).then(
        ({ ok }) => ok,
        () => false,
      )
    })
    return prometheus
  }

  /** @throws Error with Prometheus' own words */
  async query(expression: string): Promise<Series[]> {
    const answer = await this.#get(`query?${new URLSearchParams({ query: expression })}`)
    return (answer as { result: Series[] }).result
  }

  /** Of everything that was ever scraped. */
  async metricNames(): Promise<string[]> {
    return (await this.#get('label/__name__/values')) as string[]
  }

  async metadata(): Promise<Readonly<Record<string, readonly { readonly type: string; readonly help: string }[]>>> {
    return (await this.#get('metadata')) as Record<string, { type: string; help: string }[]>
  }

  /** Of what it scrapes: what went wrong the last time. */
  async scrapeErrors(): Promise<string[]> {
    const { activeTargets } = (await this.#get('targets')) as { activeTargets: { lastError: string }[] }
    return activeTargets.map(({ lastError }) => lastError)
  }

  async rules(): Promise<{ readonly name: string; readonly health: string; readonly state: string }[]> {
    const { groups } = (await this.#get('rules')) as {
      groups: { rules: { name: string; health: string; state: string }[] }[]
    }
    return groups.flatMap(({ rules }) => rules)
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exited
  }

  async #get(path: string): Promise<unknown> {
    const response = await fetch(`http://${ADDRESS}/api/v1/${path}`)
    const answer = (await response.json()) as { status: string; error?: string; data: unknown }
    if (answer.status !== 'success') throw new Error(`${path}: ${answer.error}`)
    return answer.data
  }
}
