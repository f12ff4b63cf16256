import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { ARCHITECTURES, type Architecture } from '../image/architecture.ts'
import { layOutBundle, PROJECT, VERSION } from '../image/bundle.ts'
import { type Provenance, provenance } from '../image/provenance.ts'
import { spdxDocument } from '../image/sbom.ts'
import { type TarEntry, tar } from '../image/tar.ts'
import { readTree } from '../image/tree.ts'

/** What a host without Kubernetes needs besides the bundle. */
const FILES = ['package/install.sh', 'bramble-agent.service', 'agent.yaml', '10-bramble.conflist'] as const

/**
 * Makes the archive for hosts without Kubernetes: the bundle, and what install.sh puts around it. `make build` must have
 * been there; two builds of a commit are the same to the byte.
 * @returns its path
 */
export async function makePackage(
  architecture: Architecture,
  folder: string,
  { createdAt }: Pick<Provenance, 'createdAt'> = provenance(),
): Promise<string> {
  const name = `bramble-${VERSION}-linux-${architecture.name}`
  const scratch = mkdtempSync(join(tmpdir(), 'bramble-package-'))
  try {
    const npm = layOutBundle(architecture, scratch)
    const sbom = spdxDocument({ name, version: VERSION, architecture, createdAt, debian: [], npm })
    writeFileSync(join(scratch, 'share/sbom.spdx.json'), JSON.stringify(sbom, undefined, 1))
    writeFileSync(join(scratch, 'share/architecture'), `${architecture.name}\n`)
    const files = FILES.map(
      (path): TarEntry => ({
        path: basename(path),
        type: 'file',
        content: readFileSync(join(PROJECT, 'deploy', path)),
        executable: path.endsWith('.sh'),
      }),
    )
    const entries = [...files, ...readTree(scratch)].map(
      (entry): TarEntry => ({ ...entry, path: `${name}/${entry.path}` }),
    )
    const archive = await promisify(gzip)(tar([{ path: name, type: 'directory' }, ...entries]))
    mkdirSync(folder, { recursive: true })
    const path = join(folder, `${name}.tar.gz`)
    writeFileSync(`${path}.new`, archive)
    renameSync(`${path}.new`, path)
    return path
  } finally {
    rmSync(scratch, { recursive: true })
  }
}

/** As `sha256sum --check` reads it. */
export function checksums(paths: readonly string[]): string {
  const line = (path: string) => `${createHash('sha256').update(readFileSync(path)).digest('hex')}  ${basename(path)}\n`
  return paths.map(line).join('')
}

if (import.meta.main) {
  const folder = join(PROJECT, 'dist/package')
  const paths: string[] = []
  for (const architecture of ARCHITECTURES) paths.push(await makePackage(architecture, folder))
  writeFileSync(join(folder, 'SHA256SUMS'), checksums(paths))
  for (const path of paths) console.log(`${path} ${(readFileSync(path).length / 1e6).toFixed(1)} MB`)
}
