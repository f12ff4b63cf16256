/** What restarts agents in Kubernetes, one after the other; pods keep their network. */
export const RESTART_PODS = 'kubectl -n kube-system rollout restart daemonset bramble'
