import t from 'tap'
import type { ListedWireguardPeer } from '../../../agent/kernel/wireguard.ts'
import { PeerSilence } from '../../../agent/nodes/peer-silence.ts'

const SECONDS = 1_000

const peer = (rxBytes: number, txBytes: number, publicKey = 'a'): ListedWireguardPeer => ({
  publicKey,
  allowedIps: [],
  keepaliveSeconds: 0,
  rxBytes: BigInt(rxBytes),
  txBytes: BigInt(txBytes),
})

t.test('a peer that is spoken to and says nothing for three minutes is silent', (t) => {
  const silence = new PeerSilence()
  t.notOk(silence.isSilent(peer(100, 100), 0))
  t.notOk(silence.isSilent(peer(100, 248), 2 * SECONDS))
  t.notOk(silence.isSilent(peer(100, 396), 181 * SECONDS))
  t.ok(silence.isSilent(peer(100, 544), 182 * SECONDS))
  t.ok(silence.isSilent(peer(100, 544), 184 * SECONDS), 'until it answers')
  t.notOk(silence.isSilent(peer(192, 544), 186 * SECONDS))
  t.notOk(silence.isSilent(peer(192, 692), 400 * SECONDS), 'and then it counts anew')
  t.end()
})

t.test('one that nobody speaks to may keep silence for ever, and so may one that was just found', (t) => {
  const silence = new PeerSilence()
  for (const seconds of [0, 100, 1_000, 100_000]) t.notOk(silence.isSilent(peer(100, 100), seconds * SECONDS))
  t.notOk(silence.isSilent(peer(100, 248), 100_001 * SECONDS), 'an answer takes its time')
  t.end()
})

t.test('each counts by itself, and one that was away begins anew', (t) => {
  const silence = new PeerSilence()
  for (const txBytes of [1, 2]) for (const key of ['a', 'b']) silence.isSilent(peer(0, txBytes, key), txBytes)
  silence.forgetOthers([peer(0, 2, 'b')])
  t.notOk(silence.isSilent(peer(0, 3, 'a'), 200 * SECONDS))
  t.ok(silence.isSilent(peer(0, 3, 'b'), 200 * SECONDS))
  t.end()
})
