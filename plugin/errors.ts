/**
 * The error codes of the CNI specification, section "Error", and our own from 100.
 * https://github.com/containernetworking/cni/blob/spec-v1.1.0/SPEC.md#error
 */
export const CNI_ERROR = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  io: 5,
  decode: 6,
  invalidConfig: 7,
  invalidNamespace: 8,
  tryAgainLater: 11,
  notAvailable: 50,
  notAvailableAndDegraded: 51,
  /** The kernel refused a link, an address or a route. */
  kernel: 100,
  /** ADD for an interface, a link or an attachment that is there already; it stays untouched. */
  alreadyExists: 101,
  /** CHECK found the attachment different from what ADD made. */
  checkFailed: 102,
  /** GC could not remove everything it should have. */
  gcIncomplete: 103,
  /** A defect of ours. */
  internal: 199,
} as const

export type CniErrorCode = (typeof CNI_ERROR)[keyof typeof CNI_ERROR]

/** A refusal as the runtime will read it: what is wrong (`message`) and what to do about it (`details`). */
export class CniError extends Error {
  override readonly name = 'CniError'
  readonly code: CniErrorCode
  readonly details: string

  constructor(code: CniErrorCode, message: string, details = '', options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.details = details
  }
}
