import { execFile } from 'node:child_process'

const TIMEOUT_MS = 3_000
const MOST_BYTES = 4 * 2 ** 20

/**
 * What a program of the node says; never a shell.
 * @returns undefined when there is none, it fails, or takes longer than 3 s
 */
export function outputOf(
  program: string,
  args: readonly string[] = [],
): Promise<{ stdout: string; stderr: string } | undefined> {
  return new Promise((resolve) => {
    const options = {
      timeout: TIMEOUT_MS,
      killSignal: 'SIGKILL',
      maxBuffer: MOST_BYTES,
      env: { PATH: PATHS, LC_ALL: 'C' },
    } as const
    const child = execFile(program, args, options, (error, stdout, stderr) =>
      resolve(error ? undefined : { stdout, stderr }),
    )
    child.stdin?.end()
  })
}

/** Debian keeps what root needs out of other users' PATH. */
const PATHS = `${process.env.PATH ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin`
