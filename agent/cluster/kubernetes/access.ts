/** Something secret or signed: in the configuration itself, or in a file that others replace. */
export type Material = { readonly text: string } | { readonly file: string }

/** How the API server is reached, and as whom. */
export interface ApiAccess {
  /** `https://10.0.0.1:6443`, without a slash at its end; may have a path. */
  readonly server: string
  /** The certificates that the server's must come from, PEM; absent: the public authorities. */
  readonly ca?: Material
  /** Another name than the URL's that the server's certificate must have. */
  readonly serverName?: string
  readonly skipsTlsVerify: boolean
  /** PEM, both or neither. */
  readonly clientCertificate?: Material
  readonly clientKey?: Material
  readonly token?: Material
}

/** There is no usable way to the API server; the message says where it is written, what is wrong, and what to write instead. */
export class KubeconfigError extends Error {
  override readonly name = 'KubeconfigError'
  readonly code = 'KUBECONFIG' as const
  /** The file, or the environment that says so. */
  readonly where: string
  /** `contexts[].context.cluster`, `token`. */
  readonly what: string

  constructor(where: string, what: string, reason: string, options?: ErrorOptions) {
    super(`${where}: ${what} ${reason}`, options)
    this.where = where
    this.what = what
  }
}
