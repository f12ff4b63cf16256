/** A kubeconfig with one cluster and one user, as kubectl writes it; JSON is YAML. */
export function kubeconfigText(cluster: object, user: object = {}): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'here',
    contexts: [{ name: 'here', context: { cluster: 'pis', user: 'node' } }],
    clusters: [{ name: 'pis', cluster }],
    users: [{ name: 'node', user }],
  })
}
