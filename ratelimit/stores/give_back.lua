-- Returns capacity of one organisation that was not used.
-- KEYS: counter, window; a key for each pair.
-- ARGV: how many of the quota, the window they were counted in; how often each pair.
local known = redis.call('MGET', KEYS[1], KEYS[2])
local sent, ends = known[1], known[2]
if ends == ARGV[2] and whole(sent, largest) then
  local left = math.max(0, tonumber(sent) - tonumber(ARGV[1]))
  redis.call('SET', KEYS[1], string.format('%.0f', left), 'KEEPTTL')
end
for place = 3, #KEYS do
  local owed = redis.call('MGET', KEYS[place])[1]
  if whole(owed, largest) then
    local less = tonumber(owed) - step * tonumber(ARGV[place])
    redis.call('SET', KEYS[place], string.format('%.0f', math.max(0, less)), 'KEEPTTL')
  end
end
return 1
