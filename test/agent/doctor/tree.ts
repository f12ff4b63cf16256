import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { Places } from '../../../agent/doctor/places.ts'

/** The files of a node that this machine is not: a Raspberry Pi, a node with systemd-networkd. A text ends as it is; executable where it begins with #!. */
export function tree(t: Test, files: Readonly<Record<string, string | Buffer>>): Places {
  const root = mkdtempSync(join(tmpdir(), 'bramble-doctor-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), content, { mode: content.toString().startsWith('#!') ? 0o755 : 0o644 })
  }
  return new Places([root])
}
