import { type ChildProcess, spawn } from 'node:child_process'

/** What a program said before it ended, or before it was ended. */
export interface ProgramOutput {
  readonly stdout: Buffer
  readonly stderr: string
  /** Absent: it was ended. */
  readonly exitCode?: number
  readonly isLate: boolean
  readonly isCut: boolean
}

const STDERR_BYTES_MAX = 4096

/**
 * Runs a program, for no longer than that, and for no more output than that; never a shell. What it started goes with it.
 * One that cannot even be killed (it waits for a disk that is gone) is left behind.
 * @throws NodeJS.ErrnoException where it cannot be started: ENOENT
 */
export function runProgram(
  [file = '', ...args]: readonly string[],
  timeoutMs: number,
  bytesMax: number,
): Promise<ProgramOutput> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, LC_ALL: 'C', PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin` }
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env })
    const chunks: Buffer[] = []
    let [bytes, stderr, isLate, isCut] = [0, '', false, false]
    const done = (exitCode?: number | null) => {
      clearTimeout(timer)
      const stdout = Buffer.concat(chunks).subarray(0, bytesMax)
      resolve({ stdout, stderr, isLate, isCut, ...(typeof exitCode === 'number' && { exitCode }) })
    }
    const timer = setTimeout(() => {
      isLate = true
      end(child)
      done()
    }, timeoutMs)
    child.stdout.on('data', (chunk: Buffer) => {
      if (isCut) return
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes <= bytesMax) return
      isCut = true
      end(child)
      done()
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (stderr.length < STDERR_BYTES_MAX) stderr += text.slice(0, STDERR_BYTES_MAX)
    })
    child.on('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    child.on('close', (exitCode) => done(exitCode))
  })
}

/** With its children: it leads a group of its own. Its ends of the pipes must not keep us. */
function end(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  } catch {
    // It has just ended by itself.
  }
  child.stdout?.destroy()
  child.stderr?.destroy()
  child.unref()
}
