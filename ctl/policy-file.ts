import { readFileSync } from 'node:fs'
import { parseAllDocuments } from 'yaml'
import { MAX_BODY_BYTES } from '../plugin/frame.ts'

/** The file cannot be used; the message says why. */
export class PolicyFileError extends Error {
  override readonly name = 'PolicyFileError'
  readonly code = 'POLICY_FILE' as const
}

/** The call itself stands before it. */
const FILE_MAX_BYTES = MAX_BODY_BYTES - 1024

/**
 * The objects of a file, as JSON.
 * @param path `-`: what comes on stdin
 * @throws PolicyFileError
 */
export function readObjects(path: string): string {
  const name = path === '-' ? 'stdin' : path
  const documents = parseAllDocuments(read(path, name))
  const objects = documents.flatMap((document) => {
    const [error] = document.errors
    if (error) throw new PolicyFileError(`${name}: ${error.message.split('\n')[0]}`)
    try {
      return itemsOf(document.toJS())
    } catch (cause) {
      // More aliases than any person writes.
      throw new PolicyFileError(`${name}: ${(cause as Error).message.split('\n')[0]}`, { cause })
    }
  })
  if (objects.length === 0) throw new PolicyFileError(`${name} has no objects in it`)
  const json = JSON.stringify(objects)
  const bytes = Buffer.byteLength(json)
  if (bytes > FILE_MAX_BYTES)
    throw new PolicyFileError(
      `${name} has ${bytes} bytes of objects; at most ${FILE_MAX_BYTES} are taken: preview some of them at a time`,
    )
  return json
}

function read(path: string, name: string): string {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8')
  } catch (cause) {
    throw new PolicyFileError(`${name} cannot be read: ${(cause as NodeJS.ErrnoException).code}`, { cause })
  }
}

/** A List holds objects; an empty document holds none. */
function itemsOf(document: unknown): unknown[] {
  if (document === null || document === undefined) return []
  const { kind, items } = document as { kind?: unknown; items?: unknown }
  return typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items) ? items : [document]
}
