import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { run } from '../test/kernel/scratch.ts'

/** The C programs of this folder, compiled into the scratch node's tmpfs; gives the path of each. */
export async function compile(): Promise<{ spawn: string; answer: string; wirePod: string; traffic: string }> {
  mkdirSync('/run/bench', { recursive: true })
  const [spawn, answer, wirePod, traffic] = await Promise.all([
    compileOne('spawn'),
    compileOne('answer'),
    compileOne('wire-pod'),
    compileOne('traffic'),
  ])
  return { spawn, answer, wirePod, traffic }
}

async function compileOne(name: string): Promise<string> {
  const source = fileURLToPath(new URL(`${name}.c`, import.meta.url))
  const program = `/run/bench/${name}`
  await run('cc', '-std=c99', '-O2', '-Wall', '-Wextra', '-Werror', source, '-o', program)
  return program
}
