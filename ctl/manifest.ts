import type { NodeManifest } from '../agent/api/manifest.ts'

/** A Node as YAML, ready for the folder of --cluster-dir. Pure. */
export function renderManifest({ apiVersion, kind, metadata, spec, status }: NodeManifest): string {
  const annotations = Object.entries(metadata.annotations ?? {})
  return [
    `apiVersion: ${apiVersion}`,
    `kind: ${kind}`,
    'metadata:',
    `  name: ${quoted(metadata.name)}`,
    ...(annotations.length > 0 ? ['  annotations:'] : []),
    ...annotations.map(([name, value]) => `    ${name}: ${quoted(value)}`),
    'spec:',
    ...list('podCIDRs', spec.podCIDRs, quoted),
    'status:',
    ...list('addresses', status.addresses, ({ type, address }) => `{ type: ${type}, address: ${quoted(address)} }`),
  ].join('\n')
}

function list<T>(name: string, items: readonly T[], render: (item: T) => string): string[] {
  return items.length === 0 ? [`  ${name}: []`] : [`  ${name}:`, ...items.map((item) => `    - ${render(item)}`)]
}

/** Between single quotes nothing is special but the quote (YAML 1.2, 7.3.2): a node may be called `1e3` or `no`. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
