import type { Architecture } from './architecture.ts'
import type { DebianPackage } from './debian.ts'
import type { NpmPackage } from './npm.ts'

export interface Contents {
  readonly name: string
  readonly version: string
  readonly architecture: Architecture
  readonly createdAt: Date
  readonly debian: readonly DebianPackage[]
  readonly npm: readonly NpmPackage[]
}

/** What is in it, as an SPDX 2.3 document (https://spdx.github.io/spdx-spec/v2.3). */
export function spdxDocument({ name, version, architecture, createdAt, debian, npm }: Contents): object {
  const own = {
    name: 'bramble',
    SPDXID: 'SPDXRef-bramble',
    versionInfo: version,
    downloadLocation: 'NOASSERTION',
    filesAnalyzed: false,
    licenseConcluded: 'Apache-2.0',
    licenseDeclared: 'Apache-2.0',
    copyrightText: 'NOASSERTION',
  }
  const packages = [...debian.map((one) => debianEntry(one, architecture)), ...npm.map((one) => npmEntry(one))]
  return {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name,
    documentNamespace: `https://bramble.dev/spdx/${name}/${createdAt.toISOString()}`,
    creationInfo: { created: createdAt.toISOString().replace(/\.\d+Z$/, 'Z'), creators: ['Organization: Bramble'] },
    packages: [own, ...packages],
    relationships: [
      relationship('SPDXRef-DOCUMENT', 'DESCRIBES', own.SPDXID),
      ...packages.map(({ SPDXID }) => relationship(own.SPDXID, 'CONTAINS', SPDXID)),
    ],
  }
}

function debianEntry({ name, version, source }: DebianPackage, architecture: Architecture) {
  const from = source === name ? '' : `&upstream=${encodeURIComponent(source)}`
  return {
    ...entry(
      'deb',
      name,
      version,
      `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?arch=${architecture.name}${from}`,
    ),
    licenseDeclared: 'NOASSERTION',
  }
}

function npmEntry({ name, version, integrity, license = 'NOASSERTION' }: NpmPackage) {
  return {
    ...entry('npm', name, version, `pkg:npm/${name.replace('@', '%40')}@${version}`),
    licenseDeclared: license,
    // That of the archive which npm downloads.
    checksums: [
      { algorithm: 'SHA512', checksumValue: Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex') },
    ],
  }
}

function entry(kind: string, name: string, version: string, purl: string) {
  return {
    name,
    SPDXID: `SPDXRef-${kind}-${name}-${version}`.replaceAll(/[^A-Za-z0-9.-]/g, '-'),
    versionInfo: version,
    downloadLocation: 'NOASSERTION',
    filesAnalyzed: false,
    licenseConcluded: 'NOASSERTION',
    copyrightText: 'NOASSERTION',
    externalRefs: [{ referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: purl }],
  }
}

function relationship(from: string, type: string, to: string) {
  return { spdxElementId: from, relationshipType: type, relatedSpdxElement: to }
}
