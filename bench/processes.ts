import { readFileSync } from 'node:fs'
import { capture } from '../test/kernel/scratch.ts'

/** One run of a program, as bench/spawn.c takes it. */
export interface Job {
  /** The network namespace it starts in; none: that of the bench. */
  readonly node?: string
  /** The file it reads as stdin. */
  readonly input: string
  readonly program: string
  readonly env: Readonly<Record<string, string>>
}

export interface Times {
  /** Of each job, in the order of the jobs. */
  readonly ms: readonly number[]
  readonly wallMs: number
}

export interface Pace {
  readonly atOnce: number
  /** Waited before each job, outside its time. */
  readonly pauseMs: number
}

/**
 * Runs the jobs by the launcher and times each from outside.
 * @throws Error with the program's own words when one of them fails: a bench of failures measures nothing
 */
export async function timeProcesses(launcher: string, jobs: readonly Job[], pace: Pace): Promise<Times> {
  const output = await capture(
    launcher,
    [`${pace.atOnce}`, `${Math.round(pace.pauseMs * 1000)}`],
    jobs.map(line).join(''),
  )
  if (output.exitCode !== 0) throw new Error(output.stderr)
  const lines = output.stdout.trimEnd().split('\n')
  const wallMs = Number(lines.pop()?.split('\t')[1]) / 1000
  return { ms: lines.map((text, number) => time(text, jobs[number], number)), wallMs }
}

const outputFile = (number: number) => `/run/bench/output-${number}`

function line(job: Job, number: number): string {
  const env = Object.entries(job.env).map(([key, value]) => `${key}=${value}`)
  return `${[job.node ?? '-', job.input, outputFile(number), job.program, ...env].join('\t')}\n`
}

function time(text: string, job: Job | undefined, number: number): number {
  const [exitCode, microseconds] = text.split('\t')
  if (exitCode !== '0')
    throw new Error(
      `${job?.program} ${JSON.stringify(job?.env)}: exit ${exitCode}: ${readFileSync(outputFile(number), 'utf8')}`,
    )
  return Number(microseconds) / 1000
}
