import type { Row } from './rows.ts'

/**
 * What a person looks at next: commands, on which node, and what they tell. Pure.
 * @param agentPods of kube-system by node: bramblectl is in them, and not on the node
 */
export function nextStep(
  { check, node, to, toNode = node, address }: Row,
  agentPods: ReadonlyMap<string, string> = new Map(),
): string[] {
  const on = (name: string, command: string, why: string) => {
    const pod = agentPods.get(name)
    const isOurs = command.startsWith('bramblectl ')
    return pod && isOurs
      ? `kubectl -n kube-system exec ${pod} -- ${command}   # on ${name}: ${why}`
      : `on ${name}: sudo ${command}   # ${why}`
  }
  switch (check) {
    case 'pod to pod on its node: TCP':
    case 'pod to pod on its node: UDP':
    case 'node to pod on it':
      return [
        on(toNode, 'bramblectl status', 'does the agent have a problem?'),
        on(toNode, 'bramblectl doctor', 'firewalls, settings and leftovers that stop packets'),
      ]
    case 'pod to pod on its node: full size':
      return [on(node, 'bramblectl mtu', 'pods that started before a change keep their MTU')]
    case 'pod to pod on another node: TCP':
    case 'pod to pod on another node: UDP':
    case 'node to pod on another node':
      return [
        on(node, 'bramblectl nodes', `is there a way to ${toNode}, and which?`),
        on(toNode, 'bramblectl doctor', "does a firewall drop the tunnel's packets, or what comes out of it?"),
      ]
    case 'pod to pod on another node: full size':
    case 'node to another node: full size':
      return [on(node, 'bramblectl mtu --probe', 'what really gets through, and the --mtu that fits')]
    case 'pod to Service':
      return [
        'kubectl -n kube-system get pods -o wide | grep kube-proxy   # Services are its work; k3s has it within k3s',
        on(node, `nft list ruleset | grep -F ${address}`, 'does the node have rules for this Service?'),
      ]
    case 'pod to its node':
    case 'pod to another node':
      return [on(toNode, 'bramblectl doctor', "does the node's firewall drop what comes from pods?")]
    case 'pod to outside':
      return [
        on(node, 'nft list table inet bramble-masquerade', 'pods go out with the address of the node (--masquerade)'),
        on(node, 'bramblectl doctor', "Docker's FORWARD DROP, a firewall"),
      ]
    case 'pod asks DNS':
      return [
        'kubectl -n kube-system get pods -o wide -l k8s-app=kube-dns   # does it run, and on which node?',
        on(node, 'bramblectl doctor', 'search domains and name servers'),
      ]
    case 'policy lets through':
    case 'policy blocks':
      return [
        on(toNode, 'bramblectl status', 'does the agent know the policies? with --policy-mode never it drops nothing'),
        on(toNode, 'bramblectl policy show', 'what was dropped, by policy'),
      ]
    case 'plugin: ADD, CHECK, DEL':
    case 'pods of the test start':
      return [on(node, 'bramblectl status', 'is the agent there, and is an address free?')]
    case 'nothing is left behind':
      if (to.startsWith('namespace ')) return [`kubectl describe ${to}   # what keeps it?`]
      return [on(node, 'bramblectl ipam check', 'what the leases and the kernel do not agree on')]
    case 'node to outside':
      return []
  }
}
