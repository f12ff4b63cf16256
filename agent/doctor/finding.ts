/** What the doctor says about one thing that is wrong, or had better be known. */
export interface Finding {
  readonly severity: Severity
  /** What is so, naming the thing: "the module vxlan cannot be loaded". */
  readonly what: string
  /** What comes of it. */
  readonly why: string
  /** What a person has to decide or to look at, where no command does it. */
  readonly advice?: string
  /** In their order. */
  readonly remedies: readonly Remedy[]
}

/** error: pods are without network, or will be. warning: something works less well than it should, or by chance. note: good to know. */
export type Severity = (typeof SEVERITIES)[number]
const SEVERITIES = ['error', 'warning', 'note'] as const

export interface Remedy {
  /** For a root shell on the node. */
  readonly command: string
  /** What `--fix` does in its place. Absent: it takes somebody's word to do that. */
  readonly act?: Act
}

/** Safe: it takes nothing away that anybody may have wanted, and is undone by a reboot. */
export type Act =
  | { readonly kind: 'sysctl'; readonly key: string; readonly value: string }
  | { readonly kind: 'offload'; readonly link: string }

/** @param key below /proc/sys/net, with slashes */
export function sysctlRemedy(key: string, value: string): Remedy {
  // sysctl(8) takes slashes as they are: the name of a link may hold dots.
  return { command: `sysctl -w ${shellWord(`net/${key}=${value}`)}`, act: { kind: 'sysctl', key, value } }
}

export function command(text: string): Remedy {
  return { command: text }
}

/** As one word of a shell, whatever is in it: a link may be called `$(reboot)`. */
export function shellWord(text: string): string {
  return /^[\w.:/@=+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
