/** The kind ClusterNetworkPolicy, as API servers get it; without the schema, which tests have no use for. */

export const CNP_GROUP = 'policy.networking.k8s.io'
export const CLUSTER_POLICIES = `/apis/${CNP_GROUP}/v1alpha2/clusternetworkpolicies`

/** Where an API server has definitions. */
export const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'

export const CNP_DEFINITION = {
  metadata: {
    name: `clusternetworkpolicies.${CNP_GROUP}`,
    annotations: { 'api-approved.kubernetes.io': 'unapproved, a test' },
  },
  spec: {
    group: CNP_GROUP,
    scope: 'Cluster',
    names: { kind: 'ClusterNetworkPolicy', plural: 'clusternetworkpolicies', singular: 'clusternetworkpolicy' },
    versions: [
      {
        name: 'v1alpha2',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
}
