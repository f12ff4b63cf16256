/** Something cannot be put where the runtime or the node's daemons look for it; the message names it and what to do. */
export class InstallError extends Error {
  override readonly name = 'InstallError'
  readonly code = 'INSTALL' as const
}
