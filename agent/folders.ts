import { accessSync, constants, mkdirSync } from 'node:fs'

/** Where the agent has to write, and cannot. */
export class FolderError extends Error {
  override readonly name = 'FolderError'
  readonly code = 'FOLDER' as const
  readonly folder: string

  constructor(folder: string, cause: NodeJS.ErrnoException) {
    super(`${folder} cannot be written: ${cause.code}; is it mounted, and not read-only?`, { cause })
    this.folder = folder
  }
}

/** Makes those that are not there. @throws FolderError */
export function makeWritable(folders: readonly string[]): void {
  for (const folder of folders)
    try {
      mkdirSync(folder, { recursive: true })
      accessSync(folder, constants.W_OK)
    } catch (error) {
      throw new FolderError(folder, error as NodeJS.ErrnoException)
    }
}
