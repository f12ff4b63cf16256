import { pino } from 'pino'
import { RedisSource } from '../../../../agent/cluster/redis/source.ts'
import { parseCidr } from '../../../../ipam/address.ts'

/** `node joiner.ts URL NAME...`: joins under all the names at once, prints the pod CIDRs, ends without a word to Redis. */
const [url = '', ...names] = process.argv.slice(2)
const got = await Promise.all(
  names.map((nodeName) =>
    new RedisSource({
      url,
      nodeName,
      addresses: () => ['192.168.1.1'],
      clusterCidrs: [parseCidr('10.42.0.0/16')],
      nodeMasks: { 4: 24, 6: 64 },
      log: pino({ level: 'silent' }),
    }).join(() => {}),
  ),
)
for (const [cidr] of got) console.log(cidr?.text)
process.exit(0)
