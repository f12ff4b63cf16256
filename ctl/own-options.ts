import yargs, { type Argv, type InferredOptionTypes, type Options } from 'yargs'
import { printable } from './printable.ts'
import { UsageError } from './usage-error.ts'

/** Where the agent is found. */
export const SOCKET_OPTION = {
  type: 'string',
  nargs: 1,
  default: process.env.BRAMBLE_SOCKET ?? '/run/bramble/agent.sock',
  defaultDescription: 'BRAMBLE_SOCKET, or /run/bramble/agent.sock',
  describe: "the agent's socket",
} as const

/** Help and version come as text, and what is wrong as one line. @throws UsageError */
export async function parsePlainly<T>(parser: Argv<T>, argv: readonly string[]) {
  let printed = ''
  const given = await parser
    .wrap(null)
    .exitProcess(false)
    .showHelpOnFail(false)
    .fail((message, error) => {
      throw new UsageError(printable((message || String(error?.message)).replace(/\s*\n\s*/g, ' ')))
    })
    .parseAsync([...argv], {}, (_error, _argv, output) => {
      printed = output
    })
  return { given, printed }
}

/** As of a variable that is not set: no name of a file, a node or a socket is empty. @throws UsageError */
export function refuseEmpty(options: readonly string[], given: Readonly<Record<string, unknown>>): void {
  for (const option of options)
    if ([given[option]].flat().includes(''))
      throw new UsageError(`--${option} is empty: give it a value, or leave it out`)
}

/**
 * The options of a command that works by itself, as in `bramblectl NAME`. Each is given once, but those that are arrays.
 * @returns undefined when help or the version was asked for, which is printed. @throws UsageError
 */
export async function parseOwnOptions<O extends Readonly<Record<string, Options>>>(
  name: string,
  usage: string,
  options: O,
  argv: readonly string[],
  version: string,
): Promise<InferredOptionTypes<O> | undefined> {
  const parser = yargs([...argv])
    .scriptName(`bramblectl ${name}`)
    .usage(usage)
    .options(options)
    .version(version)
    .help()
    .parserConfiguration({ 'parse-positional-numbers': false, 'boolean-negation': false })
    .strict()
  const { given, printed } = await parsePlainly(parser, argv)
  if (printed !== '') {
    process.stdout.write(`${printed}\n`)
    return undefined
  }
  for (const [option, { array }] of Object.entries(options))
    if (!array && Array.isArray(given[option])) throw new UsageError(`--${option} is given more than once`)
  refuseEmpty(Object.keys(options), given)
  return given as unknown as InferredOptionTypes<O>
}
