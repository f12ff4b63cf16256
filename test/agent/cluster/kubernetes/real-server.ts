import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { type AddressInfo, connect, createServer, type Server as NetServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ApiAccess } from '../../../../agent/cluster/kubernetes/access.ts'
import { type Server, statusOf, type TestNode } from './server.ts'

/** etcd and kube-apiserver from a folder, on loopback, with a folder of their own; our client reaches them through a door that can be shut. */

const TOKEN = 'brmtest'
const NODES = '/api/v1/nodes'
/** On a Pi, or a busy machine. */
const READY_MS = 120_000

/** @param flags further ones of kube-apiserver */
export async function startRealServer(binaries: string, ...flags: readonly string[]): Promise<RealServer> {
  const dir = mkdtempSync(join(tmpdir(), 'brmtest-apiserver-'))
  const children: ChildProcess[] = []
  const start = (name: string, ...args: readonly string[]) => {
    const log = openSync(join(dir, `${name}.log`), 'a')
    children.push(spawn(join(binaries, name), args, { stdio: ['ignore', log, log] }))
  }
  const close = async () => {
    for (const child of children.reverse()) {
      const gone = new Promise((resolve) => child.once('exit', resolve))
      if (child.exitCode === null && child.kill('SIGKILL')) await gone
    }
    rmSync(dir, { recursive: true, force: true })
  }
  try {
    const [clients, peers, secure] = [await freePort(), await freePort(), await freePort()]
    const etcd = `http://127.0.0.1:${clients}`
    start(
      'etcd',
      `--data-dir=${join(dir, 'etcd')}`,
      `--listen-client-urls=${etcd}`,
      `--advertise-client-urls=${etcd}`,
      `--listen-peer-urls=http://127.0.0.1:${peers}`,
      `--initial-advertise-peer-urls=http://127.0.0.1:${peers}`,
      `--initial-cluster=default=http://127.0.0.1:${peers}`,
      '--unsafe-no-fsync',
    )
    writeFileSync(join(dir, 'tokens.csv'), `${TOKEN},tester,1,system:masters\n`, { mode: 0o600 })
    start(
      'kube-apiserver',
      `--etcd-servers=${etcd}`,
      `--cert-dir=${join(dir, 'certs')}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      `--secure-port=${secure}`,
      `--token-auth-file=${join(dir, 'tokens.csv')}`,
      '--authorization-mode=RBAC',
      '--service-cluster-ip-range=10.96.0.0/16',
      '--service-account-issuer=https://brmtest',
      `--service-account-key-file=${join(dir, 'certs', 'apiserver.key')}`,
      `--service-account-signing-key-file=${join(dir, 'certs', 'apiserver.key')}`,
      '--disable-admission-plugins=ServiceAccount,TaintNodesByCondition',
      ...flags,
    )
    return await RealServer.reach(secure, etcd, dir, close)
  } catch (error) {
    await close()
    throw error
  }
}

export class RealServer implements Server {
  readonly access: ApiAccess
  /** Past the door: what the tests do is not cut off. */
  readonly #port: number
  readonly #etcd: string
  readonly #door: NetServer
  readonly #passing = new Set<Socket>()
  readonly #closeAll: () => Promise<void>
  #isShut = false
  #beats = 0

  private constructor(port: number, etcd: string, door: NetServer, dir: string, closeAll: () => Promise<void>) {
    this.#port = port
    this.#etcd = etcd
    this.#door = door
    this.#closeAll = closeAll
    this.access = {
      server: `https://127.0.0.1:${(door.address() as AddressInfo).port}`,
      ca: { file: join(dir, 'certs', 'apiserver.crt') },
      skipsTlsVerify: false,
      token: { text: TOKEN },
    }
    door.on('connection', (socket) => this.#letPass(socket))
  }

  /** Waits until the server is ready. */
  static async reach(port: number, etcd: string, dir: string, closeAll: () => Promise<void>): Promise<RealServer> {
    const door = createServer()
    await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve))
    const server = new RealServer(port, etcd, door, dir, closeAll)
    const endMs = performance.now() + READY_MS
    for (;;) {
      const state = await server.ask('GET', '/readyz').catch((error: Error) => error.message)
      if (state === 'ok') return server
      if (performance.now() > endMs) {
        const log = readFileSync(join(dir, 'kube-apiserver.log'), 'utf8').slice(-2_000)
        throw new Error(`kube-apiserver is not ready: ${state}\n${log}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }

  async create({ name, podCidrs, address, annotations }: TestNode): Promise<void> {
    const node = {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, ...(annotations && { annotations }) },
      spec: podCidrs ? { podCIDR: podCidrs[0], podCIDRs: podCidrs } : {},
      ...(address && { status: statusOf(address) }),
    }
    await this.ask('POST', NODES, node)
  }

  async annotate(name: string, key: string, value: string | null): Promise<void> {
    await this.ask('PATCH', `${NODES}/${name}`, { metadata: { annotations: { [key]: value } } })
  }

  async setAddress(name: string, address: string): Promise<void> {
    await this.ask('PATCH', `${NODES}/${name}/status`, { status: statusOf(address) })
  }

  async heartbeat(name: string): Promise<void> {
    const conditions = [{ type: 'Ready', status: 'True', reason: `Beat${this.#beats++}` }]
    await this.ask('PATCH', `${NODES}/${name}/status`, { status: { conditions } })
  }

  async delete(name: string): Promise<void> {
    await this.ask('DELETE', `${NODES}/${name}`)
  }

  async annotationsOf(name: string): Promise<Readonly<Record<string, string>>> {
    return JSON.parse(await this.ask('GET', `${NODES}/${name}`)).metadata.annotations ?? {}
  }

  async nodes(): Promise<readonly object[]> {
    const { items } = JSON.parse(await this.ask('GET', NODES))
    return items.map((item: object) => ({ ...item, apiVersion: 'v1', kind: 'Node' }))
  }

  /** etcd's; the server's own cache of events may still reach further back. */
  async compact(): Promise<void> {
    const post = (path: string, body: object) =>
      fetch(`${this.#etcd}${path}`, { method: 'POST', body: JSON.stringify(body) })
    const { header } = (await (await post('/v3/maintenance/status', {})).json()) as { header: { revision: string } }
    await post('/v3/kv/compaction', { revision: header.revision, physical: true })
  }

  disconnect(): void {
    for (const socket of this.#passing) socket.destroy()
  }

  setAway(isAway: boolean): void {
    this.#isShut = isAway
    if (isAway) this.disconnect()
  }

  /** The server counts them; tests patch nodes themselves as well, but not while they count. */
  async patches(): Promise<number> {
    const lines = (await this.ask('GET', '/metrics')).split('\n')
    const ours = lines.filter((line) =>
      /^apiserver_request_total\{.*resource="nodes".*subresource="".*verb="PATCH"/.test(line),
    )
    return ours.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
  }

  async close(): Promise<void> {
    this.disconnect()
    await new Promise((resolve) => this.#door.close(resolve))
    await this.#closeAll()
  }

  #letPass(socket: Socket): void {
    if (this.#isShut) return void socket.resetAndDestroy()
    const inner = connect(this.#port, '127.0.0.1')
    for (const [one, other] of [
      [socket, inner],
      [inner, socket],
    ] as const) {
      this.#passing.add(one)
      one
        .on('error', () => {})
        .on('close', () => {
          this.#passing.delete(one)
          other.destroy()
        })
      one.pipe(other)
    }
  }

  /** @throws Error unless it answers 2xx */
  ask(method: string, path: string, body?: object): Promise<string> {
    return new Promise((resolve, reject) => {
      const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
      const text = body && JSON.stringify(body)
      const length = { 'content-length': Buffer.byteLength(text ?? '') } // Node would send none with DELETE
      const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': type, ...length }
      const options = { host: '127.0.0.1', port: this.#port, method, path, headers, rejectUnauthorized: false }
      const asked = request(options, async (response) => {
        let answer = ''
        for await (const chunk of response.setEncoding('utf8')) answer += chunk
        if ((response.statusCode ?? 500) < 300) resolve(answer)
        else reject(new Error(`${method} ${path}: ${response.statusCode} ${answer.slice(0, 300)}`))
      })
      asked.on('error', reject)
      asked.end(text)
    })
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
