import type { ClusterSource } from '../cluster/view.ts'
import type { PolicyEnforcement } from '../enforcement/enforcement.ts'
import type { PublishedPorts } from '../hostports/published.ts'
import type { Installation } from '../install/installation.ts'
import type { UplinkMtu } from '../mtu/uplink-mtu.ts'
import type { NodeNetwork } from '../nodes/network.ts'
import type { Observation } from '../observe/observation.ts'
import type { Touch } from '../observe/touch.ts'
import type { Options } from '../options.ts'
import type { PodNetwork } from '../pods/network.ts'
import type { PodRepair } from '../pods/repair.ts'
import type { Turns } from '../pods/turns.ts'

/** What the answers are taken from: one per agent. */
export interface Agent {
  readonly network: PodNetwork
  readonly nodes: NodeNetwork
  readonly policies: PolicyEnforcement
  readonly ports: PublishedPorts
  readonly repair: PodRepair
  readonly source: ClusterSource
  readonly uplinkMtu: UplinkMtu
  readonly turns: Turns
  readonly installation: Installation
  readonly observation: Observation
  readonly touch: Touch
  readonly options: Options
  readonly version: string
}
