import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** A cluster in a process of its own on its real node, which answers each command by a line of JSON. */
export interface ClusterProcess {
  ask<T>(command: string): Promise<T>
  end(): void
}

/**
 * Starts it and waits for its first line.
 * @param node the path of a network namespace
 * @throws Error when it ends before
 */
export async function startClusterProcess(node: string, script: string, ...args: string[]): Promise<ClusterProcess> {
  const child = spawn('nsenter', [`--net=${node}`, process.execPath, script, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const answer = async () => {
    const line = await lines.next()
    if (line.done) throw new Error(`the cluster of ${script} ended`)
    return JSON.parse(line.value)
  }
  await answer()
  return {
    ask: (command) => {
      child.stdin.write(`${command}\n`)
      return answer()
    },
    end: () => child.stdin.end(),
  }
}

/** The other side: carries out what comes in, until it is over. */
export async function answerCommands(
  commands: Readonly<Record<string, (argument: string) => Promise<unknown>>>,
): Promise<never> {
  process.stdout.write('"ready"\n')
  for await (const line of createInterface(process.stdin)) {
    const [command = '', argument = ''] = line.split(' ')
    const answer = await commands[command]?.(argument)
    process.stdout.write(`${JSON.stringify(answer ?? null)}\n`)
  }
  process.exit(0)
}
