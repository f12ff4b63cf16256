import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { type TarEntry, tar } from './tar.ts'

/** As `image.config` of the OCI image specification 1.1 names it, of which this is what we need. */
export interface ContainerConfig {
  readonly Env: readonly string[]
  readonly Entrypoint: readonly string[]
  readonly WorkingDir: string
  readonly Labels: Readonly<Record<string, string>>
}

export interface ImageParts {
  /** As manifests name it: registry/name:tag. */
  readonly reference: string
  readonly architecture: string
  readonly createdAt: Date
  readonly config: ContainerConfig
  /** From the lowest on; what changes least comes first, so that an upgrade brings little. */
  readonly layers: readonly Layer[]
}

export interface Layer {
  /** What it is made of, for `docker history`. */
  readonly name: string
  readonly entries: readonly TarEntry[]
}

/** Node's gzip writes neither a name nor a time: the same content has the same digest. */
const compress = promisify(gzip)

/**
 * An image as one file: an OCI image layout (image-layout.md) that `ctr images import` and `podman load` read, with the
 * manifest.json of `docker save` beside it, for any `docker load`.
 * @returns the archive, and the digest by which registries and runtimes know the image
 */
export async function imageArchive(parts: ImageParts): Promise<{ archive: Buffer; digest: string }> {
  const { reference, architecture, config } = parts
  const created = parts.createdAt.toISOString()
  const tars = parts.layers.map(({ entries }) => tar(entries))
  const layers = (await Promise.all(tars.map((content) => compress(content)))).map((content) =>
    blob('application/vnd.oci.image.layer.v1.tar+gzip', content),
  )
  const configBlob = jsonBlob('application/vnd.oci.image.config.v1+json', {
    created,
    architecture,
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: tars.map((content) => `sha256:${sha256(content)}`) },
    history: parts.layers.map(({ name }) => ({ created, created_by: name })),
  })
  const manifest = jsonBlob('application/vnd.oci.image.manifest.v1+json', {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: configBlob.descriptor,
    layers: layers.map(({ descriptor }) => descriptor),
  })
  // The first annotation is read by containerd and podman, the second by the rest; it has the tag alone.
  const annotations = {
    'io.containerd.image.name': reference,
    'org.opencontainers.image.ref.name': reference.slice(reference.lastIndexOf(':') + 1),
  }
  const index = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [{ ...manifest.descriptor, platform: { architecture, os: 'linux' }, annotations }],
  }
  const docker = [
    { Config: configBlob.entry.path, RepoTags: [reference], Layers: layers.map(({ entry }) => entry.path) },
  ]
  const archive = tar([
    { path: 'blobs', type: 'directory' },
    { path: 'blobs/sha256', type: 'directory' },
    ...[...layers, configBlob, manifest].map(({ entry }) => entry),
    { path: 'index.json', type: 'file', content: json(index) },
    { path: 'manifest.json', type: 'file', content: json(docker) },
    { path: 'oci-layout', type: 'file', content: json({ imageLayoutVersion: '1.0.0' }) },
  ])
  return { archive, digest: manifest.descriptor.digest }
}

/** What an index, a manifest or a configuration names by its digest. */
export interface Blob {
  readonly descriptor: { readonly mediaType: string; readonly digest: string; readonly size: number }
  readonly entry: TarEntry
}

export function blob(mediaType: string, content: Buffer): Blob {
  const hash = sha256(content)
  return {
    descriptor: { mediaType, digest: `sha256:${hash}`, size: content.length },
    entry: { path: `blobs/sha256/${hash}`, type: 'file', content },
  }
}

export function jsonBlob(mediaType: string, value: unknown): Blob {
  return blob(mediaType, json(value))
}

export function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}
