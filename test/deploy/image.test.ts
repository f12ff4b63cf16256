import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { ARCHITECTURES } from '../../deploy/image/architecture.ts'
import { imageReference } from '../../deploy/image/reference.ts'
import { readTree } from '../../deploy/image/tree.ts'
import { readElf } from './elf.ts'
import { blobPath, imageArchivePath, unpackImage } from './unpacked-image.ts'

const MIB = 2 ** 20
const PAGE_BYTES_MAX = 16_384

for (const { name: architecture } of ARCHITECTURES)
  t.test(`the image for ${architecture}`, async (t) => {
    const image = await unpackImage(t, architecture)
    const files = readTree(image.root)
    const read = (path: string) => readFileSync(join(image.root, path))

    t.test('is small, and each of its parts has the digest that it is known by', async (t) => {
      t.ok(statSync(imageArchivePath(architecture)).size < 70 * MIB)
      for (const part of [image.descriptor, image.manifest.config, ...image.manifest.layers]) {
        const content = readFileSync(join(image.layout, blobPath(part)))
        t.equal(`sha256:${createHash('sha256').update(content).digest('hex')}`, part.digest)
        t.equal(content.length, part.size)
      }
      const uncompressed = image.manifest.layers.map((layer) =>
        gunzipSync(readFileSync(join(image.layout, blobPath(layer)))),
      )
      t.same(
        uncompressed.map((content) => `sha256:${createHash('sha256').update(content).digest('hex')}`),
        image.config.rootfs.diff_ids,
      )
    })

    t.test('has the name that the manifest gives it, for containerd, podman and docker', async (t) => {
      t.match(imageReference(), /^ghcr\.io\/bramble-net\/bramble:v\d+\.\d+\.\d+$/)
      t.equal(image.descriptor.annotations?.['io.containerd.image.name'], imageReference())
      const [docker] = JSON.parse(readFileSync(join(image.layout, 'manifest.json'), 'utf8'))
      t.same(docker, {
        Config: blobPath(image.manifest.config),
        RepoTags: [imageReference()],
        Layers: image.manifest.layers.map(blobPath),
      })
    })

    t.test('starts the agent, and says what it is made from', async (t) => {
      t.match(image.config, { architecture, os: 'linux', config: { Entrypoint: ['/opt/bramble/bin/bramble-agent'] } })
      t.match(image.config.config.Env, ['PATH=/opt/bramble/bin:/usr/sbin:/usr/bin'])
      t.match(image.config.config.Labels, {
        'org.opencontainers.image.licenses': 'Apache-2.0',
        'org.opencontainers.image.version': /^\d+\.\d+\.\d+$/,
        'org.opencontainers.image.revision': /^[0-9a-f]{40}(-dirty)?$|^unknown$/,
      })
    })

    t.test(
      'has programs of its architecture alone, for pages of 4 and of 16 KiB, and all libraries that they need',
      async (t) => {
        const elves = files.flatMap((entry) => {
          const elf = entry.type === 'file' ? readElf(entry.content) : undefined
          return elf ? [{ path: entry.path, ...elf }] : []
        })
        t.ok(elves.length > 20)
        const libraries = new Set(files.map(({ path }) => basename(path)))
        for (const { path, machine, alignmentBytes, needed } of elves) {
          t.equal(machine, architecture, path)
          // Where the processor has no other pages, linkers align to 4 KiB.
          if (architecture === 'arm64') t.ok(alignmentBytes >= PAGE_BYTES_MAX, `${path}: ${alignmentBytes}`)
          t.same(
            needed.filter((library) => !libraries.has(library)),
            [],
            `libraries of ${path}`,
          )
        }
        t.ok(elves.find(({ path }) => path === 'opt/bramble/lib/node')?.needed.includes('libc.so.6'), 'they are read')
        t.same(elves.find(({ path }) => path === 'opt/bramble/bin/bramble')?.needed, [])
        t.same(readdirSync(join(image.root, 'opt/bramble/cni')).sort(), ['loopback'])
      },
    )

    t.test(
      'has nothing of the machine that made it, nothing that a build leaves, and links that lead somewhere',
      async (t) => {
        for (const path of ['etc/resolv.conf', 'etc/hostname', 'etc/apt', 'var/cache', 'var/log', 'root', 'dev/null'])
          t.notOk(existsSync(join(image.root, path)), path)
        t.same(readdirSync(join(image.root, 'opt/bramble/bin')).sort(), ['bramble', 'bramble-agent', 'bramblectl'])
        for (const name of ['sh', 'dirname', 'basename', 'readlink'])
          t.ok(existsSync(join(image.root, 'usr/bin', name)), name)
        // A link's / is that of the image.
        const place = (path: string, target: string) =>
          join(image.root, target.startsWith('/') ? '' : dirname(path), target)
        const links = files.flatMap((entry) => (entry.type === 'symlink' ? [entry] : []))
        t.ok(links.length > 50)
        t.same(
          links.filter(({ path, target }) => !existsSync(place(path, target))),
          [],
        )
      },
    )

    t.test('lists all that is in it, with versions, by SPDX', async (t) => {
      const sbom = JSON.parse(read('opt/bramble/share/sbom.spdx.json').toString())
      t.same(sbom, JSON.parse(readFileSync(imageArchivePath(architecture).replace('.tar', '.spdx.json'), 'utf8')))
      const purls: string[] = sbom.packages.flatMap(
        ({ externalRefs = [] }: { externalRefs?: { referenceLocator: string }[] }) =>
          externalRefs.map(({ referenceLocator }) => referenceLocator),
      )
      for (const name of readdirSync(join(image.root, 'var/lib/dpkg/status.d')))
        t.ok(
          purls.some((purl) => purl.startsWith(`pkg:deb/debian/${encodeURIComponent(name)}@`)),
          name,
        )
      for (const name of ['libc6', 'libnftables1', 'busybox-static'])
        t.ok(existsSync(join(image.root, 'var/lib/dpkg/status.d', name)), name)
      const node = architecture === 'amd64' ? 'x64' : architecture
      for (const name of [
        'koffi',
        'netlink',
        'pino',
        'ioredis',
        `node-linux-${node}`,
        `%40koromix/koffi-linux-${node}`,
      ])
        t.ok(
          purls.some((purl) => purl.startsWith(`pkg:npm/${name}@`)),
          name,
        )
      t.notOk(
        purls.some((purl) => /pkg:npm\/(tap|esbuild|typescript)@/.test(purl)),
        'nothing that only builds or tests',
      )
      const ids = sbom.packages.map(({ SPDXID }: { SPDXID: string }) => SPDXID)
      t.equal(new Set(ids).size, ids.length)
      const licences = read('opt/bramble/share/licenses-of-others.txt').toString()
      for (const name of ['pino', 'koffi', 'Node.js is licensed']) t.match(licences, name)
    })
  })
