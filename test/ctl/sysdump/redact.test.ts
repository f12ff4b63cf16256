import t from 'tap'
import { REDACTED, redact } from '../../../ctl/sysdump/redact.ts'
import { secretsIn } from '../../../ctl/sysdump/secrets.ts'

/** Each has the planted word in it, and must not have it afterwards; what stands beside stays. */
const PLANTED = 'Xu7-planted'
const JWT = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJwaSJ9.c2lnbmF0dXJl'

t.test('no form of a secret gets through', (t) => {
  const texts: Record<string, string> = {
    'a URL with a password': `redis-url: redis://bramble:${PLANTED}@192.168.1.10:6379/0`,
    'a password with an @ and a slash': `redis://bramble:a@b/${PLANTED}@10.0.0.1`,
    'a field of YAML': `user:\n  token: ${PLANTED}\n  name: pi`,
    'a field of YAML in quotes': `password: "say \\"${PLANTED}\\" twice"`,
    'a field of YAML in single quotes': `client_secret: 'a b ${PLANTED}'`,
    'a bare field with blanks': `wpa-psk: correct horse ${PLANTED}`,
    'a block of YAML': `token: |\n  first\n\n  ${PLANTED}\nname: pi`,
    'a list of YAML': `tokens:\n  - ${PLANTED}\n  - other\nname: pi`,
    'a mapping under such a name': `auth:\n  user: pi\n  word: ${PLANTED}\nname: pi`,
    JSON: `{"apiKey":"${PLANTED}","name":"pi"}`,
    'JSON that has a list': `{"tokens":["a","${PLANTED}"],"name":"pi"}`,
    'JSON on many lines': `{\n  "tokens": [\n    "a",\n    "${PLANTED}"\n  ],\n  "name": "pi"\n}`,
    'JSON in JSON': `{"msg":"got {\\"password\\":\\"a\\\\\\"${PLANTED}\\"}","level":30}`,
    'a variable': `BRAMBLE_REDIS_PASSWORD=${PLANTED}`,
    'an option': `agent --registry-token ${PLANTED} --mtu 1450`,
    'a variable that is called pass': `-e DB_PASS=${PLANTED}`,
    'a variable of MySQL': `MYSQL_PWD=${PLANTED}`,
    'a field that is called pass': `smtp:\n  pass: ${PLANTED}\n  name: pi`,
    'a pass in JSON': `{"pass":"${PLANTED}","name":"pi"}`,
    'a pass in JSON in JSON': `{"msg":"got {\\"pass\\":\\"${PLANTED}\\"}","level":30}`,
    'an option that is called pass': `agent --db-pass ${PLANTED} --mtu 1450`,
    "a registry's configuration": `  .dockerconfigjson: ${PLANTED}\n  name: pi`,
    "a registry's configuration in JSON": `{".dockerconfigjson":"${PLANTED}","name":"pi"}`,
    'an option with =': `agent --password=${PLANTED}`,
    'a header': `Authorization: Bearer ${PLANTED}${PLANTED}`,
    'a header in prose': `sent Bearer ${PLANTED}.abcdef to it`,
    'a WireGuard configuration': `[Interface]\nPrivateKey = ${PLANTED}\nListenPort = 51820`,
    'wg show': `  private key: ${PLANTED}`,
    'containerd.toml': `auth = "${PLANTED}"`,
    'a private key': `-----BEGIN EC PRIVATE KEY-----\n${PLANTED}\n-----END EC PRIVATE KEY-----`,
    'a private key that was cut': `-----BEGIN PRIVATE KEY-----\n${PLANTED}\n`,
    'a serial number': `Serial\t\t: ${PLANTED}`,
    'the token of k3s': `K3S: K10${'0'.repeat(64)}::server:${PLANTED}`,
  }
  for (const [what, text] of Object.entries(texts)) {
    const without = redact(text)
    t.notMatch(without, PLANTED, what)
    t.match(without, REDACTED, what)
    if (text.includes('name: pi')) t.match(without, 'name: pi', `${what}: what stands beside stays`)
    if (text.includes('--mtu')) t.match(without, '--mtu 1450')
  }
  t.notMatch(redact(`saw ${JWT} there`), 'c2lnbmF0dXJl')
  t.notMatch(redact('join with abcdef.0123456789abcdef'), '0123456789abcdef')
  const pem = Buffer.from(`-----BEGIN RSA PRIVATE KEY-----\n${PLANTED}`).toString('base64')
  t.notMatch(redact(`    client-key: ${pem}`), pem.slice(20))
  t.end()
})

t.test('of a Secret nothing gets through, whatever its keys are called', (t) => {
  const other = 'kind: ConfigMap\ndata:\n  mode: plain\n'
  const texts: Record<string, string> = {
    'data before the kind': `data:\n  word: ${PLANTED}\nkind: Secret\n`,
    'data behind the kind': `kind: Secret\nmetadata:\n  name: pi\ndata:\n  word: ${PLANTED}\n`,
    stringData: `kind: "Secret"\nstringData:\n  word: |\n    first\n\n    ${PLANTED}\n`,
    'a comment between': `kind: Secret\ndata:\n  one: a\n# more\n  word: ${PLANTED}\n`,
    'data on one line': `kind: Secret\ndata: {word: ${PLANTED}}\n`,
    'in a list': `kind: List\nitems:\n- kind: Secret\n  data:\n    word: ${PLANTED}\n`,
    'lines of Windows': `kind: Secret\r\ndata:\r\n  word: ${PLANTED}\r\n`,
    JSON: `{"kind":"Secret","data":{"word":"${PLANTED}"}}\n`,
    'JSON on many lines': `{\n  "data": {\n    "word": "${PLANTED}"\n  },\n  "kind": "Secret"\n}\n`,
    'JSON on many lines, none indented': `{\n"kind": "Secret",\n"data": {\n"word": "${PLANTED}"\n}\n}\n`,
    'JSON in an annotation': `last-applied: "{\\"kind\\":\\"Secret\\",\\"stringData\\":{\\"word\\":\\"${PLANTED}\\"}}"\n`,
  }
  for (const [what, text] of Object.entries(texts)) {
    const without = redact(`${other}---\n${text}---\n${other}`)
    t.notMatch(without, PLANTED, what)
    t.match(without, REDACTED, what)
    t.equal(without.split('  mode: plain').length, 3, `${what}: other documents stay`)
  }
  t.end()
})

t.test('a secret that is known by its value is taken out wherever and however it is written', (t) => {
  const secret = 'pa"ss/w#1'
  const base64 = Buffer.from(secret).toString('base64')
  const text = `${secret} ${encodeURIComponent(secret)} ${JSON.stringify(secret)} ${base64} rest`
  t.equal(redact(text, [secret]), `${REDACTED} ${REDACTED} "${REDACTED}" ${REDACTED} rest`)
  t.equal(redact('ab abc', ['ab']), 'ab abc', 'but for one that stands anywhere by chance')
  t.equal(redact('long-secret', ['long', 'long-secret']), REDACTED, 'the longer one first')
  t.end()
})

t.test('what is no secret stays as it is', (t) => {
  const texts = [
    '10.42.0.7 dev brm65c0f3a1d9e2 proto 98 scope link',
    'tcp dport 443 counter packets 12 bytes 734 accept # handle 17',
    'inet6 fe80::ecee:eeff:feee:eeee/64 scope link',
    'net.ipv4.conf.all.rp_filter = 0',
    '{"level":30,"msg":"ready","podCidrs":["10.42.0.0/24"]}',
    '66:62:72:6d:01:02 dev bramble.vxlan dst 192.168.1.12 self permanent',
    'see https://kubernetes.io/docs/',
  ]
  for (const text of texts) t.equal(redact(text), text)
  t.end()
})

t.test('the secrets of a configuration are its passwords, as written and as meant', (t) => {
  t.same(secretsIn('redis-url: redis://b:p%40ss@h:6379\n'), ['p%40ss', 'p@ss'])
  t.same(secretsIn("  admin-token: 'abc def'\nmtu: 1450\n"), ['abc def'])
  t.same(secretsIn('redis://h:6379'), [])
  t.end()
})

t.end()
