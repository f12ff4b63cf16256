import type { ApiObject } from './answers.ts'

/** k8s.io/apimachinery, metav1.Condition, and the older ones of nodes and pods; nothing of it is sure. */
export interface Condition {
  readonly type?: unknown
  readonly status?: unknown
  readonly reason?: unknown
  readonly message?: unknown
  readonly lastTransitionTime?: unknown
}

/** @returns undefined where there is none of that type; also where status is no status: nothing is thrown. Pure. */
export function conditionOf(object: ApiObject, type: string): Condition | undefined {
  const { conditions } = (object as { readonly status?: { readonly conditions?: unknown } | null }).status ?? {}
  return Array.isArray(conditions) ? conditions.find((one: Condition | null) => one?.type === type) : undefined
}
