const EVERY_MS = 2_000

// ECMA-48: CUP to the upper left corner, EL to the end of the line, ED to the end of the screen.
const HOME = '\x1b[H'
const END_OF_LINE = '\x1b[K'
const END_OF_SCREEN = '\x1b[J'

export interface Look {
  readonly text: string
  readonly exitCode: number
}

/**
 * Looks again and again, until Ctrl-C or until nobody reads any more. On a terminal each look is drawn over the one before;
 * elsewhere they stand one below the other.
 * @param look what it throws is shown in its place: an agent that restarts is away for a moment
 * @returns the exit code of the last look
 */
export async function watch(look: () => Promise<Look>, isJson: boolean, everyMs = EVERY_MS): Promise<number> {
  const { stdout } = process
  const ended = Promise.withResolvers<void>()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, ended.resolve)
  stdout.on('error', () => ended.resolve()) // EPIPE: whoever read it has gone
  let isOver = false
  ended.promise.then(() => {
    isOver = true
  })
  let exitCode = 0
  for (;;) {
    const seen = await look().catch((error: Error) => ({ text: failure(error, isJson), exitCode: 1 }))
    if (isOver) return exitCode
    exitCode = seen.exitCode
    stdout.write(stdout.isTTY ? redrawn(seen.text) : isJson ? `${seen.text}\n` : `${timestamp()}\n${seen.text}\n\n`)
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, everyMs)
    await Promise.race([promise, ended.promise])
    clearTimeout(timer)
    if (isOver) return exitCode
  }
}

function failure({ message }: Error, isJson: boolean): string {
  return isJson ? JSON.stringify({ error: message }) : message
}

function redrawn(text: string): string {
  const lines = `${timestamp()}\n${text}`.split('\n').map((line) => `${line}${END_OF_LINE}\n`)
  return `${HOME}${lines.join('')}${END_OF_SCREEN}`
}

function timestamp(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z')
}
