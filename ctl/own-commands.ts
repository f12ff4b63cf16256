import type { OwnCommand } from './own-command.ts'
import { UsageError } from './usage-error.ts'

const OWN_COMMANDS: Readonly<Record<string, OwnCommand>> = {
  doctor: {
    describe: 'what is wrong with this node, why it matters, and the command that mends it; --fix',
    run: async (argv, version) => (await import('./doctor/command.ts')).main(argv, version),
  },
  'connectivity test': {
    describe: 'pods that speak to each other and to the rest, and are gone afterwards; --local without Kubernetes',
    run: async (argv, version) => (await import('./connectivity/command.ts')).main(argv, version),
  },
  'connectivity serve': {
    describe: 'the far end, in a pod of the test',
    isHidden: true,
    run: async (argv) => (await import('./connectivity/inside.ts')).serve(argv),
  },
  'connectivity probe': {
    describe: 'the near end, in a pod of the test',
    isHidden: true,
    run: async () => (await import('./connectivity/inside.ts')).probe(),
  },
  sysdump: {
    describe: 'one archive with what a maintainer needs to see of this node, secrets left out',
    run: async (argv, version) => (await import('./sysdump/command.ts')).main(argv, version),
  },
}

export const SHOWN_OWN_COMMANDS = Object.fromEntries(
  Object.entries(OWN_COMMANDS).filter(([, { isHidden }]) => !isHidden),
)

/** The own command that a command line begins with, and what follows it. */
export function ownCommandOf(argv: readonly string[]): { command: OwnCommand; rest: readonly string[] } | undefined {
  for (const [name, command] of Object.entries(OWN_COMMANDS)) {
    const words = name.split(' ')
    if (words.every((word, index) => argv[index] === word)) return { command, rest: argv.slice(words.length) }
  }
  return undefined
}

/** Its options are its own, so they stand behind it. @throws UsageError where one stands before */
export function refuseLateCommand(words: readonly string[]): void {
  const late = Object.keys(OWN_COMMANDS).find((name) => name.split(' ').every((word, index) => word === words[index]))
  if (late) throw new UsageError(`options of ${late} stand behind it: bramblectl ${late} …`)
}
