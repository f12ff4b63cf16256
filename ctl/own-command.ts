/** A command that does its work itself, where the others ask the agent for an answer; it parses its own command line. */
export interface OwnCommand {
  /** The words that follow it, as --help shows them. */
  readonly args?: { readonly text: string }
  readonly describe: string
  /** For what we start ourselves, in pods and the like: no help shows it. */
  readonly isHidden?: boolean
  /**
   * Loads what it needs only now.
   * @param argv behind the command's own words
   * @returns the exit code
   * @throws UsageError, and its own errors
   */
  readonly run: (argv: readonly string[], version: string) => Promise<number>
}
