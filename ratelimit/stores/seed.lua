-- Writes what the database knows of an organisation's quota, unless it is known here by now.
-- KEYS: counter, limit, window, throttle. ARGV: sent, limit, window's end (0: none), throttled
-- until, now, window length, 1 to overwrite what is known; microseconds.
-- Returns 0 when it was known, 1 when it was missing, 2 when it was rubbish.
local known = redis.call('MGET', unpack(KEYS))
local ends, now = tonumber(ARGV[3]), tonumber(ARGV[5])
local sound = quota_of(known, now) and redis.call('PTTL', KEYS[1]) >= 0
if sound and ARGV[7] ~= '1' then
  return 0
end
local there = redis.call('EXISTS', KEYS[1]) == 1 and not sound
local life = ends > now and ends - now or tonumber(ARGV[6])
life = string.format('%.0f', math.max(1, math.ceil(life / 1000)))
-- Value and life in one command each: a key without an end cannot come about.
redis.call('SET', KEYS[1], ARGV[1], 'PX', life)
redis.call('SET', KEYS[2], ARGV[2], 'PX', life)
redis.call('SET', KEYS[3], ARGV[3], 'PX', life)
local throttled = tonumber(ARGV[4])
if throttled > now then
  local rest = string.format('%.0f', math.ceil((throttled - now) / 1000))
  redis.call('SET', KEYS[4], ARGV[4], 'PX', rest)
else
  redis.call('DEL', KEYS[4])
end
return there and 2 or 1
