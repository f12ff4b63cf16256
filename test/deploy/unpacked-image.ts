import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { run } from '../kernel/scratch.ts'

/** What `make image` leaves, for `ctr images import`. @throws Error when it is not there */
export function imageArchivePath(architecture: 'amd64' | 'arm64'): string {
  const path = fileURLToPath(new URL(`../../dist/image/bramble-${architecture}.tar`, import.meta.url))
  if (!existsSync(path)) throw new Error(`${path} is missing: make image makes it`)
  return path
}

export interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly annotations?: Readonly<Record<string, string>>
}

export interface UnpackedImage {
  /** The archive's own files: an OCI image layout. */
  readonly layout: string
  /** The root file system: all layers, one on the other. */
  readonly root: string
  readonly descriptor: Descriptor
  readonly manifest: { readonly config: Descriptor; readonly layers: readonly Descriptor[] }
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it, and fail where it is not what they expect
  readonly config: any
}

/** Unpacks what `make image` has made, as a runtime would: until the test ends. */
export async function unpackImage(t: Test, architecture: 'amd64' | 'arm64'): Promise<UnpackedImage> {
  const folder = mkdtempSync(join(tmpdir(), 'bramble-unpacked-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const [layout, root] = [join(folder, 'layout'), join(folder, 'root')]
  for (const path of [layout, root]) mkdirSync(path)
  await run('tar', '-xf', imageArchivePath(architecture), '-C', layout)
  const json = (path: string) => JSON.parse(readFileSync(join(layout, path), 'utf8'))
  const [descriptor] = json('index.json').manifests
  const manifest = json(blobPath(descriptor))
  for (const layer of manifest.layers) await run('tar', '-xzpf', join(layout, blobPath(layer)), '-C', root)
  return { layout, root, descriptor, manifest, config: json(blobPath(manifest.config)) }
}

/** Within a layout. */
export function blobPath({ digest }: Pick<Descriptor, 'digest'>): string {
  return `blobs/${digest.replace(':', '/')}`
}
