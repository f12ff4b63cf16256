import type { ViewProblem } from '../problem.ts'
import type { WorkloadChange, WorkloadSource } from '../workloads.ts'
import { type Contents, differing } from './contents.ts'

/** The pods, namespaces and policies among the manifests of a folder, which is read for them and for the nodes together. */
export class FolderWorkloads implements WorkloadSource {
  readonly isComplete = true
  readonly #look: () => void
  #onChange: ((change: WorkloadChange) => void) | undefined
  /** undefined: the folder was never there. */
  #contents: Contents | undefined
  #told: Contents | undefined
  #lastSaid: string | undefined
  #waiting: readonly ViewProblem[] = []

  /** @param look reads the folder, if that was not done yet, and from then on as it changes */
  constructor(look: () => void) {
    this.#look = look
  }

  start(onChange: (change: WorkloadChange) => void): void {
    this.#look()
    this.#onChange = onChange
    this.#tell()
  }

  /** A pod of which the folder says nothing has no labels. */
  async ask(): Promise<undefined> {}

  async close(): Promise<void> {
    this.#onChange = undefined
  }

  /**
   * These files have not been readable since the agent started. Which policies are in them nobody knows; what an earlier agent
   * knew of them is in the kernel, and must not go because of a typing error.
   */
  isWaitingFor(files: readonly string[]): void {
    this.#waiting = files.map((object) => ({
      object,
      reason:
        'no policy changes until it can be read: rules that are in the kernel stay, and pods that start are closed',
    }))
    this.#tell()
  }

  /** That the folder itself, or a file, cannot be read is told with the nodes. */
  found(contents: Contents | undefined): void {
    this.#contents = contents
    this.#waiting = []
    this.#tell()
  }

  #tell(): void {
    const workloads = this.#contents?.workloads
    const before = this.#told?.workloads
    const problems = [...this.#waiting, ...(this.#contents?.workloadProblems ?? [])]
    const changed = {
      pods: differing(before?.pods, workloads?.pods ?? new Map()),
      namespaces: differing(before?.namespaces, workloads?.namespaces ?? new Map()),
      policies: differing(before?.policies, workloads?.policies ?? new Map()),
    }
    const isFirst = workloads !== undefined && before === undefined
    const isNew = isFirst || changed.pods.size + changed.namespaces.size + changed.policies.size > 0
    const said = JSON.stringify(problems)
    if (!this.#onChange || (!isNew && said === this.#lastSaid)) return
    this.#lastSaid = said
    this.#told = this.#contents
    this.#onChange({ workloads, ...(before && { changed }), problems })
  }
}
