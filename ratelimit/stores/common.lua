-- Returns a stored value as a whole number; nil when there is none and when it is rubbish: no
-- plain digits, as the tonumber of '0x10' or '1e9' would pass, or more than it can ever be.
local function whole(value, most)
  local number = value and #value < 17 and string.find(value, '^%d+$') and tonumber(value)
  if number and number <= most then
    return number
  end
end

-- Returns the quota as numbers, in the order of the keys; nil when it cannot be believed.
local function quota_of(known, now)
  local sent, limit, ends = whole(known[1], largest), whole(known[2], largest), whole(known[3], largest)
  local throttled = not known[4] and 0 or whole(known[4], now + throttle_most)
  if sent and limit and limit >= 1 and ends and throttled then
    return sent, limit, ends, throttled
  end
end

