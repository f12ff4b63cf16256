/**
 * `node deploy/generate.ts`: the Kustomize overlay and the Helm chart, from deploy/bramble.yaml and package.json. A test fails
 * where somebody has changed one without the others.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const DEPLOY = import.meta.dirname

/** What a user of the chart may choose: where it stands in the manifest, and what takes its place. */
const CHOICES: readonly { readonly text: string | RegExp; readonly by: string }[] = [
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

/** The files, by their paths below deploy/. Pure. @throws Error when the manifest has no such place any more */
export function generated(manifest: string, version: string): Record<string, string> {
  let template = manifest
  for (const { text, by } of CHOICES) {
    const chosen = template.replace(text, by)
    if (chosen === template) throw new Error(`deploy/bramble.yaml has no ${text}: change CHOICES in deploy/generate.ts`)
    template = chosen
  }
  return {
    'kustomize/bramble.yaml': manifest,
    'helm/Chart.yaml': chart(version),
    'helm/templates/bramble.yaml': template,
  }
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
  for (const [path, text] of Object.entries(generated(readFileSync(join(DEPLOY, 'bramble.yaml'), 'utf8'), version))) {
    mkdirSync(dirname(join(DEPLOY, path)), { recursive: true })
    writeFileSync(join(DEPLOY, path), text)
  }
}
