import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'

/** As much as a ConfigMap or a Secret can hold. */
const FILE_BYTES_MAX = 1024 * 1024

/**
 * The content of a file that a person has named. A pipe would be waited for, and a device has no end.
 * @throws SystemError with its code; Error without one, saying what the path is
 */
export function readRegularFile(path: string): Buffer {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const stats = fstatSync(fd)
    if (!stats.isFile()) throw new Error('it is no regular file')
    if (stats.size > FILE_BYTES_MAX) throw new Error(`it is larger than ${FILE_BYTES_MAX} bytes`)
    return readFileSync(fd)
  } finally {
    closeSync(fd)
  }
}
