import type { ControlAnswers, ControlCall } from '../agent/api/control.ts'

/** The options that not every command has. */
export interface Given {
  readonly force: boolean
  readonly probe: boolean
  readonly all: boolean
  readonly watch: boolean
  readonly file?: string | undefined
  readonly flows: boolean
  readonly delete: boolean
  readonly namespace?: string | undefined
  readonly port?: string | undefined
}

/** What the agent is sent. */
export interface Request {
  readonly words?: Readonly<Record<string, string>>
  /** Behind the call. */
  readonly body?: string
}

export interface Command<Call extends ControlCall> {
  readonly describe: string
  /** Behind the list of options in `COMMAND --help`. */
  readonly help?: string
  /** The words that follow the command, as --help shows them; absent: none. */
  readonly args?: { readonly text: string; readonly least: number; readonly most: number }
  readonly options?: readonly (keyof Given)[]
  /** @throws UsageError */
  readonly request?: (args: readonly string[], given: Given) => Request | Promise<Request>
  /** Of an answer of which every text is one line. */
  readonly render: (answer: ControlAnswers[Call]) => string | Promise<string>
  readonly renderHtml?: (answer: ControlAnswers[Call]) => string | Promise<string>
  readonly exitCode: (answer: ControlAnswers[Call]) => number
}

export type Commands<Call extends ControlCall> = { readonly [C in Call]: Command<C> }
