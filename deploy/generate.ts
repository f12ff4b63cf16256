/**
 * `node deploy/generate.ts`: the Kustomize overlay and the Helm chart, from deploy/bramble.yaml, deploy/node-restriction.yaml and
 * package.json. A test fails where somebody has changed one without the others.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const DEPLOY = import.meta.dirname

interface Choice {
  readonly text: string | RegExp
  readonly by: string
}

/** What a user of the chart may choose: where it stands in the manifest, and what takes its place. */
const CHOICES: readonly Choice[] = [
  { text: /^# Bramble: .*\n/, by: '' },
  { text: /namespace: kube-system/g, by: 'namespace: {{ .Release.Namespace }}' },
  { text: /image: \S+/g, by: 'image: {{ .Values.image }}' },
  { text: /imagePullPolicy: \S+/g, by: 'imagePullPolicy: {{ .Values.imagePullPolicy }}' },
  { text: /agent\.yaml: \|\n(?: {4}.*\n)+/, by: 'agent.yaml: |\n    {{- toYaml .Values.config | nindent 4 }}\n' },
  {
    text: /resources:\n {12}requests: .*\n/,
    by: 'resources:\n            {{- toYaml .Values.resources | nindent 12 }}\n',
  },
  {
    // A changed configuration rolls the agents out: the pods of a ConfigMap alone would stay as they are.
    text: /( {6}labels: .*\n)( {4}spec:\n {6}serviceAccountName)/,
    by: '$1      annotations: { checksum/config: "{{ toYaml .Values.config | sha256sum }}" }\n$2',
  },
  { text: 'hostPath: { path: /opt/cni/bin,', by: 'hostPath: { path: {{ .Values.cniBinDir }},' },
  { text: 'hostPath: { path: /etc/cni/net.d,', by: 'hostPath: { path: {{ .Values.cniConfDir }},' },
]

const RESTRICTION_CHOICES: readonly Choice[] = [
  { text: /^(?:#.*\n)+/, by: '{{- if .Values.nodeRestriction }}\n' },
  { text: 'serviceaccount:kube-system:', by: 'serviceaccount:{{ .Release.Namespace }}:' },
  { text: /$/, by: '{{- end }}\n' },
]

/** Of deploy/, what the others are made of. */
export interface Sources {
  readonly bramble: string
  readonly nodeRestriction: string
}

/** The files, by their paths below deploy/. Pure. @throws Error when a manifest has no such place any more */
export function generated({ bramble, nodeRestriction }: Sources, version: string): Record<string, string> {
  return {
    'kustomize/bramble.yaml': bramble,
    'kustomize/node-restriction/node-restriction.yaml': nodeRestriction,
    'helm/Chart.yaml': chart(version),
    'helm/templates/bramble.yaml': template('bramble.yaml', bramble, CHOICES),
    'helm/templates/node-restriction.yaml': template('node-restriction.yaml', nodeRestriction, RESTRICTION_CHOICES),
  }
}

function template(name: string, manifest: string, choices: readonly Choice[]): string {
  let made = manifest
  for (const { text, by } of choices) {
    const chosen = made.replace(text, by)
    if (chosen === made) throw new Error(`deploy/${name} has no ${text}: change its choices in deploy/generate.ts`)
    made = chosen
  }
  return made
}

function chart(version: string): string {
  return `apiVersion: v2
name: bramble
description: The pod network for Raspberry Pi clusters
type: application
version: ${version}
appVersion: ${version}
`
}

if (import.meta.main) {
  const { version } = JSON.parse(readFileSync(join(DEPLOY, '../package.json'), 'utf8'))
  const read = (name: string) => readFileSync(join(DEPLOY, name), 'utf8')
  const sources = { bramble: read('bramble.yaml'), nodeRestriction: read('node-restriction.yaml') }
  for (const [path, text] of Object.entries(generated(sources, version))) {
    mkdirSync(dirname(join(DEPLOY, path)), { recursive: true })
    writeFileSync(join(DEPLOY, path), text)
  }
}
