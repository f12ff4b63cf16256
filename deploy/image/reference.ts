import { VERSION } from './bundle.ts'

/** The image of this version, as the manifest names it. */
export function imageReference(version = VERSION): string {
  return `ghcr.io/bramble-net/bramble:v${version}`
}
