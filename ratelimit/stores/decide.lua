-- Answers a batch of asks of one organisation and counts those that may go.
-- KEYS: counter, limit, window, throttle; a key for each number; a key for each pair.
-- ARGV[1], packed, for many arguments cost more than the decision: now, window length, how many
-- numbers; then for each ask which number and which pair (0: none) it concerns, and its gap.
-- What never changes stands before this text. Times are microseconds.
-- Returns '' when the quota is not known here, else packed: whether a number's or pair's key held
-- rubbish (1) and the window, then for each ask why it is held (0 go, 1 throttled, 2 quota,
-- 3 pair, 4 throughput) and its time.
local given = ARGV[1]
local now, length, numbers, at = struct.unpack('>I8I8H', given)

-- MGET takes a key of another type for a missing one.
local known = redis.call('MGET', unpack(KEYS, 1, math.min(1000, #KEYS)))
for first = 1001, #KEYS, 1000 do
  local part = redis.call('MGET', unpack(KEYS, first, math.min(first + 999, #KEYS)))
  for offset = 1, #part do
    known[first + offset - 1] = part[offset]
  end
end
local sent, limit, began, throttled = quota_of(known, now)
if not sent then
  return ''
end
local reset = began
if reset <= now then
  sent, reset = 0, 0
end
-- A counter that never expires would block the organisation for ever: it is not believed.
if sent >= limit and redis.call('PTTL', KEYS[1]) < 0 then
  return ''
end

local changed, behind, answer, granted, rubbish = {}, {}, {}, 0, 0
-- Returns the time that a number's or pair's key holds, 0 for none.
local function time_at(place, most)
  local value = known[place]
  if type(value) ~= 'number' then
    local time = whole(value, most)
    if value and not time then
      rubbish = 1 -- it counts for nothing: the database has the last word
    end
    value = time or 0
    known[place] = value
  end
  return value
end

for place = 1, (#given - at + 1) / 8 do
  local number, pair, gap
  number, pair, gap, at = struct.unpack('>HHI4', given, at)
  number, pair = 4 + number, pair > 0 and 4 + numbers + pair
  local code, time = 0, 0
  local owed = pair and time_at(pair, now + pair_most) or 0
  local slot = math.max(now, time_at(number, now + start_most))
  if throttled > now then
    code, time = 1, throttled
  elseif sent >= limit then
    code, time = 2, reset > 0 and reset or now + length
  elseif owed - slot > debt then
    local before = behind[pair] or 0
    behind[pair] = before + 1
    code, time = 3, owed - debt + before * step
  elseif slot > now + horizon then
    code, time = 4, slot - horizon
  else
    time = slot
    if reset == 0 then
      reset = now + length
    end
    sent, granted = sent + 1, granted + 1
    known[number], changed[number] = slot + gap, true
    if pair then
      known[pair], changed[pair] = math.max(owed, slot) + step, true
    end
  end
  answer[place] = struct.pack('>BI8', code, time)
end

if granted > 0 then
  if reset == began then
    redis.call('INCRBY', KEYS[1], granted)
  else
    -- Value and life in one command: a counter without an end cannot come about.
    local life = math.max(1, math.ceil((reset - now) / 1000))
    redis.call('SET', KEYS[1], sent, 'PX', life)
    redis.call('SET', KEYS[3], reset, 'PX', life)
    redis.call('PEXPIRE', KEYS[2], life)
  end
  for place in pairs(changed) do
    -- A minute longer than it matters: whoever asks compares the times.
    local value, life = known[place], '61000'
    if value - now > 1000000 then
      life = math.ceil((value - now) / 1000) + 60000
    end
    redis.call('SET', KEYS[place], value, 'PX', life)
  end
end
return struct.pack('>BI8', rubbish, reset) .. table.concat(answer)
