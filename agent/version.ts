import { readFileSync } from 'node:fs'

/** The bundle's build puts the version in the variable's place; from source it is read. */
export function version(): string {
  if (process.env.BRAMBLE_BUILD_VERSION) return process.env.BRAMBLE_BUILD_VERSION
  return JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version
}
