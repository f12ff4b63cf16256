import { AddressError, type Cidr, parseCidr } from '../../ipam/address.ts'
import { fieldsOf, listOf, metadataOf, ObjectError, textOf } from './object-fields.ts'

/** Out of which addresses Services get theirs, as a ServiceCIDR (networking.k8s.io/v1) says it. @throws ObjectError */
export function parseServiceCidrObject(object: unknown): readonly Cidr[] {
  metadataOf(object, 'networking.k8s.io/v1', 'ServiceCIDR')
  const { cidrs } = fieldsOf((object as { readonly spec?: unknown }).spec, 'spec')
  return listOf(cidrs, 'spec.cidrs').map((text, index) => cidrOf(textOf(text, `spec.cidrs[${index}]`)))
}

function cidrOf(text: string): Cidr {
  try {
    return parseCidr(text)
  } catch (error) {
    throw error instanceof AddressError ? new ObjectError(`spec.cidrs: ${error.message}`) : error
  }
}
