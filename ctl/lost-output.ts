/**
 * What cannot be printed is told, in one line and with exit code 1: a disk may be full. Whoever reads through a pipe and
 * goes when they have seen enough (`| head`) is told nothing.
 */
export function watchOutput(program: 'bramblectl' | 'bramble-agent'): void {
  process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => {
    if (code === 'EPIPE') return
    process.stderr.write(`${program}: cannot print: ${code}${code === 'ENOSPC' ? '; there is no space left' : ''}\n`)
    process.exit(1)
  })
  process.stderr.on('error', () => {}) // there is nobody left to tell
}
