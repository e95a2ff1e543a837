-- Answers a batch of asks of one organisation and counts those that may go.
-- KEYS: counter, limit, window, throttle; a key for each number; a key for each pair.
-- ARGV: now, horizon, pair step, pair debt, window length, how many numbers, their gaps;
--       then for each ask the position of its number and of its pair (0: none).
-- Returns {} when the quota is not known here, else {limit, time, window} for each ask:
-- 0 go, 1 throttled, 2 quota, 3 pair, 4 throughput. Times are microseconds.
local function whole(value)
  local number = value and tonumber(value)
  if number and number >= 0 and number < 9e15 and number == math.floor(number) then
    return number
  end
end

local now, horizon = tonumber(ARGV[1]), tonumber(ARGV[2])
local step, debt, length = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local numbers = tonumber(ARGV[6])

-- MGET takes a key of another type for a missing one.
local known = redis.call('MGET', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
local sent, limit, reset = whole(known[1]), whole(known[2]), whole(known[3])
local throttled = known[4] and whole(known[4]) or 0
-- A counter that never expires would block the organisation for ever: it is not believed.
if not (sent and limit and reset) or limit < 1 or redis.call('PTTL', KEYS[1]) < 0 then
  return {}
end
if reset <= now then
  sent, reset = 0, 0
end

local stored = {}
for place = 5, #KEYS, 1000 do
  local part = redis.call('MGET', unpack(KEYS, place, math.min(place + 999, #KEYS)))
  for offset = 1, #part do
    stored[place + offset - 5] = whole(part[offset]) or 0
  end
end

local answer, granted, changed, behind = {}, 0, {}, {}
local used = 6 + numbers
for place = used + 1, #ARGV, 2 do
  local number, pair = tonumber(ARGV[place]), tonumber(ARGV[place + 1])
  local code, at = 0, 0
  local owed = pair > 0 and stored[numbers + pair] or 0
  local slot = math.max(now, stored[number])
  if throttled > now then
    code, at = 1, throttled
  elseif sent >= limit then
    code, at = 2, reset > 0 and reset or now + length
  elseif owed - now > debt then
    local before = behind[pair] or 0
    behind[pair] = before + 1
    code, at = 3, owed - debt + before * step
  elseif slot > now + horizon then
    code, at = 4, slot - horizon
  else
    at = slot
    if reset == 0 then
      reset = now + length
    end
    sent, granted = sent + 1, granted + 1
    stored[number], changed[number] = slot + tonumber(ARGV[6 + number]), true
    if pair > 0 then
      stored[numbers + pair] = math.max(owed, now) + step
      changed[numbers + pair] = true
    end
  end
  answer[#answer + 1] = code
  answer[#answer + 1] = at
end
answer[#answer + 1] = reset

local function text(number)
  return string.format('%.0f', number)
end
if granted > 0 then
  local life = text(math.max(1, math.ceil((reset - now) / 1000)))
  redis.call('SET', KEYS[1], text(sent), 'PX', life)
  redis.call('SET', KEYS[3], text(reset), 'PX', life)
  redis.call('PEXPIRE', KEYS[2], life)
  for place in pairs(changed) do
    -- A minute longer than it matters: whoever asks compares the times.
    life = math.max(0, math.ceil((stored[place] - now) / 1000)) + 60000
    redis.call('SET', KEYS[4 + place], text(stored[place]), 'PX', text(life))
  end
end
return answer
