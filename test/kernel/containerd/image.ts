import { readFileSync } from 'node:fs'
import { blob, json, jsonBlob } from '../../../deploy/image/oci.ts'
import { tar } from '../../../deploy/image/tar.ts'

/**
 * An image with nothing in it but Debian's busybox-static, which waits until it is killed; as the tar archive that
 * `ctr images import` reads (OCI image-spec 1.0, image-layout.md), so that no registry is needed.
 */
export function busyboxImage(name: string): Buffer {
  const layer = tar([
    { path: 'bin', type: 'directory' },
    { path: 'bin/busybox', type: 'file', content: readFileSync('/bin/busybox'), executable: true },
  ])
  return image(name, layer, { Env: ['PATH=/bin'], Entrypoint: ['busybox', 'sleep', '2147483647'] })
}

/** @param layer its one layer, as a tar archive */
export function image(name: string, layer: Buffer, config: object): Buffer {
  const layerBlob = blob('application/vnd.oci.image.layer.v1.tar', layer)
  const configBlob = jsonBlob('application/vnd.oci.image.config.v1+json', {
    architecture: goArchitecture(),
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: [layerBlob.descriptor.digest] },
  })
  const manifestBlob = jsonBlob('application/vnd.oci.image.manifest.v1+json', {
    schemaVersion: 2,
    config: configBlob.descriptor,
    layers: [layerBlob.descriptor],
  })
  const index = {
    schemaVersion: 2,
    manifests: [{ ...manifestBlob.descriptor, annotations: { 'io.containerd.image.name': name } }],
  }
  return tar([
    { path: 'oci-layout', type: 'file', content: json({ imageLayoutVersion: '1.0.0' }) },
    { path: 'index.json', type: 'file', content: json(index) },
    ...[layerBlob, configBlob, manifestBlob].map(({ entry }) => entry),
  ])
}

/** containerd takes only images for its own platform, which it names as Go does. */
function goArchitecture(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch
}
