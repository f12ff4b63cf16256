import yargs from 'yargs'
import type { ControlCall } from '../agent/api/control.ts'
import { ask } from './ask.ts'
import type { Command, Given } from './command.ts'
import { COMMANDS } from './commands.ts'
import { ownCommandOf, refuseLateCommand, SHOWN_OWN_COMMANDS } from './own-commands.ts'
import { parsePlainly, refuseEmpty, SOCKET_OPTION } from './own-options.ts'
import { printable, printableAnswer, printableJson } from './printable.ts'
import { UsageError } from './usage-error.ts'
import { watch } from './watch.ts'

export { UsageError }

const OUTPUTS = ['table', 'text', 'json', 'html'] as const
type Output = (typeof OUTPUTS)[number]

/** Of single commands: --help of those shows them. */
const SPECIAL = {
  force: { type: 'boolean', default: false, hidden: true, describe: 'although it may live' },
  probe: { type: 'boolean', default: false, hidden: true, describe: 'measure the paths to all nodes' },
  all: { type: 'boolean', default: false, hidden: true, describe: 'every node: one line for each' },
  watch: { type: 'boolean', default: false, hidden: true, describe: 'again every 2 s, until Ctrl-C' },
  file: { alias: 'f', type: 'string', nargs: 1, hidden: true, describe: 'the policies; - for stdin' },
  flows: { type: 'boolean', default: false, hidden: true, describe: 'also the connections that would be cut' },
  delete: { type: 'boolean', default: false, hidden: true, describe: 'as if the policies were deleted' },
  namespace: { alias: 'n', type: 'string', nargs: 1, hidden: true, describe: 'whose pods' },
  port: { type: 'string', nargs: 1, hidden: true, describe: 'PORT[/PROTO], or icmp' },
} as const satisfies Record<keyof Given, object>

/** What --help shows. */
const LISTED = { ...COMMANDS, ...SHOWN_OWN_COMMANDS }

/**
 * @returns the exit code
 * @throws UsageError, AskError, PolicyFileError
 */
export async function main(argv: readonly string[], version: string): Promise<number> {
  const own = ownCommandOf(argv)
  if (own) return own.command.run(own.rest, version)
  const parser = yargs([...argv])
    .scriptName('bramblectl')
    .usage(
      `$0 <command> [options]\n\nTells how this node's pod network is.\n\nCommands:\n${Object.entries(LISTED)
        .map(([name, command]) => `  ${usageOf(name, command).padEnd(36)}${command.describe}`)
        .join('\n')}`,
    )
    .help(false)
    .options({
      socket: SOCKET_OPTION,
      output: {
        alias: 'o',
        nargs: 1,
        choices: OUTPUTS,
        default: 'table' as const,
        describe: 'how to print; html: policy matrix alone',
      },
      help: { type: 'boolean', default: false, describe: 'this, or behind a command more about that' },
      ...SPECIAL,
    })
    .parserConfiguration({ 'parse-positional-numbers': false })
    .version(version)
    .strictOptions()
  const { given, printed } = await parsePlainly(parser, argv)
  if (printed) return print(printed)
  for (const option of ['socket', 'output', 'file', 'namespace', 'port'] as const)
    if (Array.isArray(given[option])) throw new UsageError(`--${option} is given more than once`)
  refuseEmpty(['socket', 'file', 'namespace', 'port'], given)
  const words = [...given._.map(String), ...(given.probe ? ['probe'] : []), ...(given.all ? ['all'] : [])]
  if (given.help) {
    const call = callOf(words)
    return print(call ? helpOf(call, COMMANDS[call] as Command<ControlCall>) : await parser.getHelp())
  }
  refuseLateCommand(words)
  const { call, args } = commandOf(words)
  for (const option of Object.keys(SPECIAL) as (keyof Given)[])
    if (given[option] && !COMMANDS[call].options?.includes(option)) throw new UsageError(`${call} has no --${option}`)
  return show(call, args, given, given.socket, given.output)
}

function usageOf(name: string, { args }: { readonly args?: { readonly text: string } }): string {
  return args ? `${name} ${args.text}` : name
}

function helpOf(name: string, command: Command<ControlCall>): string {
  const options = (command.options ?? []).map((option) => {
    const { describe, ...rest } = SPECIAL[option]
    const names = 'alias' in rest ? `-${rest.alias}, --${option}` : `--${option}`
    return `  ${names.padEnd(18)}${describe}`
  })
  return [
    `bramblectl ${usageOf(name, command)} [options]`,
    command.describe,
    ...(options.length > 0 ? [['Options:', ...options].join('\n')] : []),
    ...(command.help ? [command.help] : []),
    'Options of all commands: bramblectl --help',
  ].join('\n\n')
}

/** The longest command that the words begin with. */
function callOf(words: readonly string[]): ControlCall | undefined {
  const calls = words.map((_, index) => words.slice(0, index + 1).join(' ')).toReversed()
  return calls.find((call) => Object.hasOwn(COMMANDS, call)) as ControlCall | undefined
}

/** With the words that follow it. @throws UsageError */
function commandOf(words: readonly string[]): { readonly call: ControlCall; readonly args: readonly string[] } {
  const all = printable(words.join(' '))
  const call = callOf(words)
  const { args: expected = { text: '', least: 0, most: 0 } }: Pick<Command<never>, 'args'> = call ? COMMANDS[call] : {}
  const args = words.slice(call?.split(' ').length ?? 0)
  if (call && args.length < expected.least) throw new UsageError(`${call} needs ${expected.text}`)
  if (call && args.length <= expected.most) return { call, args }
  if (call && expected.most > 0) throw new UsageError(`"${all}" has too many words: ${call} ${expected.text}`)
  const problem = all === '' ? 'no command' : `"${all}" is no command`
  throw new UsageError(`${problem}; use one of: ${Object.keys(LISTED).join(', ')}`)
}

async function show<Call extends ControlCall>(
  call: Call,
  args: readonly string[],
  given: Given,
  socket: string,
  output: Output,
): Promise<number> {
  const command = COMMANDS[call] as Command<Call>
  if (output === 'html' && !command.renderHtml) throw new UsageError(`${call} prints no html; policy matrix does`)
  const request = (await command.request?.(args, given)) ?? {}
  const look = async () => {
    const answer = await ask(socket, call, request)
    const render = output === 'html' ? command.renderHtml : command.render
    const text = output === 'json' || !render ? printableJson(answer) : await render(printableAnswer(answer))
    return { text, exitCode: command.exitCode(answer) }
  }
  if (given.watch) return watch(look, output === 'json')
  const { text, exitCode } = await look()
  print(text)
  return exitCode
}

function print(text: string): 0 {
  process.stdout.write(`${text}\n`)
  return 0
}
