import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Architecture, architectureOf } from './architecture.ts'
import { layOutBundle, PROJECT, VERSION } from './bundle.ts'
import { debianRoot } from './debian.ts'
import { imageArchive } from './oci.ts'
import { type Provenance, provenance } from './provenance.ts'
import { imageReference } from './reference.ts'
import { spdxDocument } from './sbom.ts'
import type { TarEntry } from './tar.ts'
import { readTree } from './tree.ts'

/** Where images find the bundle, as in the manifest and in the systemd unit. */
const HOME = 'opt/bramble'

export interface BuiltImage {
  readonly path: string
  readonly digest: string
  readonly bytes: number
}

/**
 * Makes the image of one architecture, and its SBOM beside it: `make build` must have been there. No registry is asked,
 * and nothing of another architecture runs.
 * @param folder where both are put, whole or not at all
 */
export async function makeImage(
  architecture: Architecture,
  folder: string,
  { revision, createdAt }: Provenance = provenance(),
  snapshot?: string,
): Promise<BuiltImage> {
  const scratch = mkdtempSync(join(tmpdir(), 'bramble-image-'))
  try {
    const debian = debianRoot(architecture, scratch, snapshot)
    const bundle = join(scratch, 'bundle')
    const npm = layOutBundle(architecture, bundle)
    const name = `bramble-${architecture.name}`
    const sbom = JSON.stringify(
      spdxDocument({
        name: `bramble-image-${architecture.name}`,
        version: VERSION,
        architecture,
        createdAt,
        debian: debian.packages,
        npm,
      }),
      undefined,
      1,
    )
    writeFileSync(join(bundle, 'share/sbom.spdx.json'), sbom)

    const runtime = `${HOME}/lib/node`
    const files = readTree(bundle).map((entry): TarEntry => ({ ...entry, path: `${HOME}/${entry.path}` }))
    const folders = ['opt', HOME].map((path): TarEntry => ({ path, type: 'directory' }))
    // Where the agent looks for plugins of others that it brings along.
    const plugins: TarEntry = { path: `${HOME}/cni`, type: 'symlink', target: '../../usr/lib/cni' }
    const lib: TarEntry = { path: `${HOME}/lib`, type: 'directory' }
    const { archive, digest } = await imageArchive({
      reference: imageReference(),
      architecture: architecture.name,
      createdAt,
      config: {
        Env: ['PATH=/opt/bramble/bin:/usr/sbin:/usr/bin'],
        Entrypoint: [`/${HOME}/bin/bramble-agent`],
        WorkingDir: '/',
        Labels: labels(revision),
      },
      layers: [
        { name: "Debian's C library, libnftables, nft and busybox", entries: debian.entries },
        { name: 'Node.js', entries: [...folders, lib, ...files.filter(({ path }) => path === runtime)] },
        { name: 'Bramble', entries: [...folders, plugins, ...files.filter(({ path }) => path !== runtime)] },
      ],
    })
    mkdirSync(folder, { recursive: true })
    put(join(folder, `${name}.spdx.json`), sbom)
    const path = join(folder, `${name}.tar`)
    put(path, archive)
    return { path, digest, bytes: archive.length }
  } finally {
    rmSync(scratch, { recursive: true })
  }
}

function labels(revision: string): Record<string, string> {
  return {
    'org.opencontainers.image.title': 'Bramble',
    'org.opencontainers.image.description': 'The pod network for Raspberry Pi clusters: agent, CNI plugin, bramblectl',
    'org.opencontainers.image.licenses': 'Apache-2.0',
    'org.opencontainers.image.version': VERSION,
    'org.opencontainers.image.revision': revision,
  }
}

/** @param content appears at once, under its name */
function put(path: string, content: string | Buffer): void {
  writeFileSync(`${path}.new`, content)
  renameSync(`${path}.new`, path)
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { snapshot: { type: 'string' } } })
  for (const name of positionals) {
    const image = await makeImage(architectureOf(name), join(PROJECT, 'dist/image'), provenance(), values.snapshot)
    console.log(`${image.path} ${(image.bytes / 1e6).toFixed(1)} MB ${imageReference()} ${image.digest}`)
  }
}
