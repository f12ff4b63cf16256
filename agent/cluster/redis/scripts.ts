import { createHash } from 'node:crypto'

/** All of ours in Redis; docs/redis.md says what each holds. */
export const KEYS = {
  cluster: 'bramble:cluster',
  leases: 'bramble:leases',
  cidrs: 'bramble:cidrs',
  nodes: 'bramble:nodes',
  seen: 'bramble:seen',
  removed: 'bramble:removed',
  changes: 'bramble:changes',
  freed4: 'bramble:freed:4',
  freed6: 'bramble:freed:6',
} as const

/** Who was away for longer than so many changes reads everything anew. At 5,000 nodes of 400 bytes: 2 MB. */
const CHANGES_KEPT = 4_096
/** Of so many removed nodes is known that they were removed, and not lost. */
const REMOVED_KEPT = 4_096
/** An agent writes every 60 s: two may be late before its name is anybody's who comes. */
export const OWNER_SILENT_S = 150
/** Removing a node that was seen so lately wants force: its pods may well talk. */
export const REMOVABLE_SILENT_S = 120

export interface Script {
  readonly text: string
  /** What Redis knows it by. */
  readonly sha: string
  readonly keys: readonly string[]
}

const NAMES = Object.keys(KEYS)

function script(body: string): Script {
  const keys = NAMES.map((name, index) => `local ${name} = KEYS[${index + 1}]`).join('\n')
  const text = `${keys}\n${COMMON}\n${body}`
  return { text, sha: createHash('sha1').update(text).digest('hex'), keys: Object.values(KEYS) }
}

/** Time is that of Redis alone. Each change names the one before it, so that a reader knows when it missed one. */
const COMMON = `
local time = redis.call('TIME')
local now = tonumber(time[1])
local freed = {['4'] = freed4, ['6'] = freed6}

local function lastChange()
  local last = redis.call('XREVRANGE', changes, '+', '-', 'COUNT', 1)[1]
  return last and last[1] or '0-0'
end

local function tell(name, node)
  local fields = {'name', name, 'after', lastChange()}
  if node then fields[5], fields[6] = 'node', node end
  redis.call('XADD', changes, 'MAXLEN', '~', ${CHANGES_KEPT}, '*', unpack(fields))
end

-- When, which instance, from which addresses; nothing of text that is not ours.
local function lastSeen(name)
  local text = redis.call('HGET', seen, name) or ''
  local at, instance, addresses = string.match(text, '^(%d+) (%S+) (%S*)$')
  return at and now - tonumber(at), instance, addresses, text
end

-- What the node holds of each family; not what another one has by now.
local function leaseOf(name)
  local lease = {}
  for family, index in string.gmatch(redis.call('HGET', leases, name) or '', '([46]):(%d+)') do
    local holder = redis.call('HGET', cidrs, family .. ':' .. index)
    if not holder or holder == name then lease[family] = index end
  end
  return lease
end

local function formatLease(lease)
  local parts = {}
  for _, family in ipairs({'4', '6'}) do
    if lease[family] then parts[#parts + 1] = family .. ':' .. lease[family] end
  end
  return table.concat(parts, ' ')
end
`

/**
 * Everything about one node's registration, in one step; repeating it changes nothing but when it was seen.
 * ARGV: name, instance, its addresses with commas, mode, whether it has waited long enough for another of its name,
 * the Node as JSON or '', then for each family: 4 or 6, its range as text, the range's capacity, the index wanted or ''.
 * Modes: `join` takes what it gets; `hold` has the wanted index and wants it back; `restore` speaks for another node.
 */
export const REGISTER = script(`
local name, instance, addresses, mode, isPatient, node = unpack(ARGV, 1, 6)
local ranges = {}
for i = 7, #ARGV, 4 do
  ranges[#ranges + 1] = {family = ARGV[i], text = ARGV[i + 1], capacity = tonumber(ARGV[i + 2]), wanted = ARGV[i + 3]}
end

local founding = redis.call('HEXISTS', cluster, '4') + redis.call('HEXISTS', cluster, '6') == 0
if not founding then
  local theirs = {['4'] = redis.call('HGET', cluster, '4') or '', ['6'] = redis.call('HGET', cluster, '6') or ''}
  local ours = {['4'] = '', ['6'] = ''}
  for _, range in ipairs(ranges) do ours[range.family] = range.text end
  if theirs['4'] ~= ours['4'] or theirs['6'] ~= ours['6'] then return {'cluster', theirs['4'], theirs['6']} end
end

if mode == 'restore' then
  if redis.call('ZSCORE', removed, name) then return {'removed'} end
  if redis.call('HEXISTS', nodes, name) == 1 then return {'ok', redis.call('HGET', leases, name) or '', '0'} end
else
  local ageS, by, from, text = lastSeen(name)
  local isOther = by and by ~= '-' and by ~= instance and (mode == 'hold' or from ~= addresses)
  if isOther and isPatient == '0' and ageS < ${OWNER_SILENT_S} then return {'other', from, text} end
end

-- Those that were never given first, in their order; then the one that has been free for longest.
local function free(range)
  local at = tonumber(redis.call('HGET', cluster, 'next:' .. range.family) or '0') or 0
  while at < range.capacity do
    local index = string.format('%.0f', at)
    local isHeld = redis.call('HEXISTS', cidrs, range.family .. ':' .. index) == 1
    if not isHeld and not redis.call('ZSCORE', freed[range.family], index) then
      redis.call('HSET', cluster, 'next:' .. range.family, index)
      return index
    end
    at = at + 1
  end
  for _, index in ipairs(redis.call('ZRANGE', freed[range.family], 0, -1)) do
    if redis.call('HEXISTS', cidrs, range.family .. ':' .. index) == 0 then return index end
  end
end

local function sayNode()
  if node ~= '' and redis.call('HGET', nodes, name) ~= node then
    redis.call('HSET', nodes, name, node)
    tell(name, node)
  end
end

local lease = leaseOf(name)
for _, range in ipairs(ranges) do
  -- A number that the range does not have is somebody's mistake, and nobody's CIDR.
  local held = lease[range.family]
  if held and range.capacity < ${Number.MAX_SAFE_INTEGER} and tonumber(held) >= range.capacity then
    held, lease[range.family] = nil, nil
  end
  local wanted = range.wanted
  if held and mode ~= 'join' and held ~= wanted then
    -- Where its pods are its agent knows best, whatever an old dump or somebody says: nobody is to seek them elsewhere.
    if mode == 'hold' then sayNode() end
    return {'moved', formatLease(lease)}
  end
  if not held and wanted ~= '' then
    local holder = redis.call('HGET', cidrs, range.family .. ':' .. wanted)
    if not holder or holder == name then lease[range.family] = wanted
    elseif mode ~= 'join' then return {'taken', range.family .. ':' .. wanted, holder} end
  end
  lease[range.family] = lease[range.family] or free(range)
  if not lease[range.family] then return {'full', range.family, tostring(redis.call('HLEN', leases))} end
end

for _, range in ipairs(ranges) do
  local index = lease[range.family]
  if founding then redis.call('HSET', cluster, range.family, range.text) end
  if redis.call('HGET', cidrs, range.family .. ':' .. index) ~= name then
    redis.call('HSET', cidrs, range.family .. ':' .. index, name)
    redis.call('ZREM', freed[range.family], index)
  end
end
local text = formatLease(lease)
if redis.call('HGET', leases, name) ~= text then redis.call('HSET', leases, name, text) end
if mode ~= 'restore' then
  redis.call('ZREM', removed, name)
  redis.call('HSET', seen, name, now .. ' ' .. instance .. ' ' .. addresses)
end
sayNode()
return {'ok', text, founding and '1' or '0'}
`)

/** The agent ends: it was here until now, and its name is free for whoever comes from elsewhere. ARGV: name, instance. */
export const LEAVE = script(`
local _, by, from = lastSeen(ARGV[1])
if by == ARGV[2] then redis.call('HSET', seen, ARGV[1], now .. ' - ' .. from) end
`)

/** Everything, and the change after which it was so. */
export const SNAPSHOT = script(`return {lastChange(), redis.call('HGETALL', nodes)}`)

/** Whether what a reader knows can still be true, in as few bytes as possible; also what an edit by hand does not tell: of the cluster, and of the node ARGV. */
export const PULSE = script(`
local ranges = (redis.call('HGET', cluster, '4') or '') .. (redis.call('HGET', cluster, '6') or '')
local node = redis.call('HGET', nodes, ARGV[1]) or ''
return {lastChange(), redis.call('HLEN', nodes), redis.sha1hex(ranges .. formatLease(leaseOf(ARGV[1])) .. node)}
`)

/** Those of ARGV that somebody removed. */
export const REMOVED_OF = script(`
local names = {}
for _, name in ipairs(ARGV) do
  if redis.call('ZSCORE', removed, name) then names[#names + 1] = name end
end
return names
`)

/** For people. */
export const LIST = script(
  `return {tostring(now), redis.call('HGETALL', leases), redis.call('HGETALL', nodes), redis.call('HGETALL', seen)}`,
)

/** Gives a node's CIDRs back and tells everybody. ARGV: name, 1 with force. */
export const REMOVE = script(`
local name, isForced = ARGV[1], ARGV[2]
local isKnown = redis.call('HEXISTS', leases, name) + redis.call('HEXISTS', nodes, name) > 0
if not isKnown then return {'unknown'} end
local ageS = lastSeen(name)
if isForced ~= '1' and ageS and ageS < ${REMOVABLE_SILENT_S} then return {'alive', tostring(ageS)} end
local lease = leaseOf(name)
local at = now * 1000000 + tonumber(time[2])
for family, index in pairs(lease) do
  redis.call('HDEL', cidrs, family .. ':' .. index)
  redis.call('ZADD', freed[family], string.format('%.0f', at), index)
end
for _, key in ipairs({leases, nodes, seen}) do redis.call('HDEL', key, name) end
redis.call('ZADD', removed, string.format('%.0f', at), name)
redis.call('ZREMRANGEBYRANK', removed, 0, -${REMOVED_KEPT + 1})
tell(name)
return {'ok', formatLease(lease)}
`)
