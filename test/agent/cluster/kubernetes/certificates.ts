import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** PEM. */
export interface KeyPair {
  readonly cert: string
  readonly key: string
}

/** A certificate authority of one test, in a folder of its own. */
export class CertificateAuthority {
  readonly dir: string
  readonly cert: string

  private constructor(dir: string) {
    this.dir = dir
    this.cert = readFileSync(join(dir, 'ca.crt'), 'utf8')
  }

  static async make(name = 'test'): Promise<CertificateAuthority> {
    const dir = mkdtempSync(join(tmpdir(), 'brmtest-ca-'))
    await openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', join(dir, 'ca.key'))
    await openssl(
      'req',
      '-x509',
      '-new',
      '-key',
      join(dir, 'ca.key'),
      '-subj',
      `/CN=${name}`,
      '-days',
      '30',
      '-out',
      join(dir, 'ca.crt'),
    )
    return new CertificateAuthority(dir)
  }

  /**
   * @param alternative `IP:127.0.0.1,DNS:api.test`; absent: a client's
   * @param start, end `20990101000000Z`; absent: now, and for 30 days
   */
  async issue({
    alternative,
    start,
    end,
  }: {
    alternative?: string
    start?: string
    end?: string
  } = {}): Promise<KeyPair> {
    const at = (name: string) => join(this.dir, name)
    writeFileSync(at('index'), '')
    writeFileSync(at('extensions'), alternative ? `subjectAltName=${alternative}\n` : 'extendedKeyUsage=clientAuth\n')
    writeFileSync(
      at('config'),
      [
        '[ca]',
        'default_ca=one',
        '[one]',
        `database=${at('index')}`,
        `new_certs_dir=${this.dir}`,
        'default_md=sha256',
        'rand_serial=yes',
        'policy=any',
        'unique_subject=no',
        '[any]',
        'commonName=supplied',
        '[req]',
        'distinguished_name=name',
        '[name]',
        '',
      ].join('\n'),
    )
    await openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', at('one.key'))
    await openssl(
      'req',
      '-new',
      '-config',
      at('config'),
      '-key',
      at('one.key'),
      '-subj',
      '/CN=bramble',
      '-out',
      at('one.csr'),
    )
    const times = [...(start ? ['-startdate', start] : []), ...(end ? ['-enddate', end] : ['-days', '30'])]
    await openssl(
      'ca',
      '-batch',
      '-notext',
      '-config',
      at('config'),
      '-cert',
      at('ca.crt'),
      '-keyfile',
      at('ca.key'),
      '-in',
      at('one.csr'),
      '-out',
      at('one.crt'),
      '-extfile',
      at('extensions'),
      ...times,
    )
    return { cert: readFileSync(at('one.crt'), 'utf8'), key: readFileSync(at('one.key'), 'utf8') }
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true })
  }
}

async function openssl(...args: readonly string[]): Promise<void> {
  await run('openssl', args, { timeout: 30_000 })
}
