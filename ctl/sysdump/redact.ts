/**
 * Takes secrets out of a text: those that are known by their value, then those that give themselves away by their form or
 * by what stands before them. Too much is taken rather than too little; nobody misses a token's path. Pure.
 */

export const REDACTED = '<redacted>'

/** Shorter ones stand in any text by chance. */
const KNOWN_LENGTH_MIN = 4

/** What the names of fields, options and variables have in them whose value nobody else may see. */
const SECRET =
  '(?:passw|passphrase|pwd|dockerconfig|dockercfg|secret|token|private[-_ ]?key|pre-?shared[-_ ]?key|psk|api-?key|access-?key|key-data|certificate-data|credential|authorization|cookie|serial|(?:pass|\\bauth)(?=\\\\*["\']?[ \\t]*[:=]))'
/** The rest of such a name, and what stands before the value. Bounded, as all of them: no text may take for ever. */
const NAMED = `${SECRET}[\\w.-]{0,40}["']?[ \\t]*[:=][ \\t]*`

/** A line of YAML or JSON under which secrets stand, each on a line of its own. */
const HEAD = new RegExp(`^[ \\t]*(?:- )?["']?[\\w.-]{0,40}${SECRET}[\\w.-]{0,40}["']?:[ \\t]*(?:[|>{[][^\\n]*)?$`, 'i')

/** Where one document of YAML ends and the next begins. */
const DOCUMENT_END = /\n(?=---(?:\s|$))/
/** Anywhere in a document, also as JSON in an annotation. */
const SECRET_OBJECT = /\bkind\\*["']?[ \t]*:[ \t]*\\*["']?Secret(?:List)?\b/
/** Its content, in braces and then to the end of the line: what stands behind it in JSON goes too. */
const DATA = /(\b(?:data|stringData)\\*["']?[ \t]*:)(?:\s*\{[^}]*\}?)?[^\n]*/g
const BARE_DATA = new RegExp(`\\b(?:data|stringData)\\\\*["']?[ \\t]*: ${REDACTED}$`)

const RULES: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,20}PRIVATE KEY-----|$)/g, REDACTED],
  // PEM in base64, as kubeconfigs have it: "-----BEGIN ".
  [/LS0tLS1CRUdJTi[\w+/=]*/g, REDACTED],
  // JSON in a text of JSON, to the end of the outer text.
  [new RegExp(`(${SECRET}[\\w.-]{0,40}\\\\+"[ \\t]*[:=])(?:[^"\\\\\\n]|\\\\.)*`, 'gi'), `$1${REDACTED}`],
  [new RegExp(`(${NAMED})"(?:[^"\\\\\\n]|\\\\.)*"?`, 'gi'), `$1"${REDACTED}"`],
  [new RegExp(`(${NAMED})'[^'\\n]*'?`, 'gi'), `$1'${REDACTED}'`],
  [new RegExp(`(${NAMED})(?:\\[[^\\]\\n]*\\]?|\\{[^}\\n]*\\}?)`, 'gi'), `$1"${REDACTED}"`],
  // Bare: to the end of the line, since it may have blanks.
  [new RegExp(`(${NAMED})(?!["'|>\\s]|<redacted>)[^\\n]+`, 'gi'), `$1${REDACTED}`],
  [new RegExp(`(--[\\w-]{0,40}(?:${SECRET}|pass)[\\w-]{0,40} )(?!<redacted>)\\S+`, 'gi'), `$1${REDACTED}`],
  // scheme://USER:PASSWORD@HOST; a password may have an @ in it, and a slash.
  [/(:\/\/)[^\s"'<>]{0,500}@/g, `$1${REDACTED}@`],
  [/\b(bearer|basic)\s{1,10}[\w.~+/=-]{8,}/gi, `$1 ${REDACTED}`],
  // JSON Web Tokens; kubeadm's bootstrap tokens; k3s's.
  [/\beyJ[\w-]{8,}\.[\w.-]+/g, REDACTED],
  [/\b[a-z\d]{6}\.[a-z\d]{16}\b/g, REDACTED],
  [/\bK10[\da-f]{64}::\S+/g, REDACTED],
]

/** @param known secrets by their value, as they were read */
export function redact(text: string, known: readonly string[] = []): string {
  const values = known.filter(({ length }) => length >= KNOWN_LENGTH_MIN).flatMap(spellings)
  const without = [...new Set(values)]
    .toSorted((a, b) => b.length - a.length) // one may be a part of another
    .reduce((rest, value) => rest.replaceAll(value, REDACTED), text)
  const bare = without.split(DOCUMENT_END).map((document) => withoutBlocks(withoutData(document)))
  return RULES.reduce((rest, [pattern, replacement]) => rest.replace(pattern, replacement), bare.join('\n'))
}

/** A Secret without its data, whatever their keys are called; what is indented below them is left to `withoutBlocks`. */
function withoutData(document: string): string {
  return SECRET_OBJECT.test(document) ? document.replace(DATA, `$1 ${REDACTED}`) : document
}

/** Without what is indented deeper than a line that announces secrets. */
function withoutBlocks(text: string): string {
  let depth: number | undefined
  const lines: string[] = []
  for (const line of text.split('\n')) {
    const indent = line.search(/\S/)
    // A comment may stand anywhere, and ends nothing.
    if (depth !== undefined && (indent > depth || indent < 0 || line[indent] === '#')) continue
    const isHead = HEAD.test(line)
    depth = isHead || BARE_DATA.test(line) ? indent : undefined
    lines.push(isHead ? `${line} ${REDACTED}` : line)
  }
  return lines.join('\n')
}

/** How one value is written elsewhere: in a URL, in JSON, in a Secret. */
function spellings(value: string): string[] {
  const base64 = Buffer.from(value).toString('base64')
  return [value, encodeURIComponent(value), JSON.stringify(value).slice(1, -1), base64, base64.replace(/=+$/, '')]
}
