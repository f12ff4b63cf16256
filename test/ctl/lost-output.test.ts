import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { agent, BRAMBLECTL } from './tool.ts'

/** More than a pipe has room for. */
const MANY = Array.from({ length: 20_000 }, (_, index) => ({ cidr: `10.42.${index}.0/30`, capacity: 3, used: 3 }))

/** Through a shell, which sets up the ends. */
async function shell(script: string, socket: string): Promise<{ exitCode: number; stderr: string }> {
  const child = spawn('bash', ['-c', script, process.execPath, BRAMBLECTL, 'ipam', '-o', 'json', '--socket', socket])
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const [exitCode] = await once(child, 'close')
  return { exitCode, stderr }
}

t.test('a disk that is full is told in one line', async (t) => {
  const socket = await agent(t, { ipam: MANY })
  t.same(await shell('"$0" "$@" > /dev/full', socket), {
    exitCode: 1,
    stderr: 'bramblectl: cannot print: ENOSPC; there is no space left\n',
  })
})

t.test('a reader that has seen enough is told nothing', async (t) => {
  const socket = await agent(t, { ipam: MANY })
  t.same(await shell('set -o pipefail; "$0" "$@" | head -c 10', socket), { exitCode: 0, stderr: '' })
})

t.test('what the agent prints is no exception', async (t) => {
  const program = fileURLToPath(new URL('../../bin/bramble-agent.ts', import.meta.url))
  for (const words of ['--help', '--version', 'cleanup --help', 'uninstall --help']) {
    const child = spawn('bash', ['-c', `"$0" "$1" ${words} > /dev/full`, process.execPath, program])
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    t.same(await once(child, 'close'), [1, null], words)
    t.equal(stderr, 'bramble-agent: cannot print: ENOSPC; there is no space left\n', words)
  }
})
