/** Something that a source holds and that cannot be used, by name; the rest is used all the same. */
export interface ViewProblem {
  /** `nodes/pi-3.yaml`, `Node pi-3`, `redis://10.0.0.1:6379`. */
  readonly object: string
  readonly reason: string
}
