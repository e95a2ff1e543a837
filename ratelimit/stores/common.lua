-- Returns a stored value as a whole number; nil when there is none and when it is rubbish: no
-- plain digits, as the tonumber of '0x10' or '1e9' would pass, or more than it can ever be.
local function whole(value, most)
  local number = value and #value < 17 and string.find(value, '^%d+$') and tonumber(value)
  if number and number <= most then
    return number
  end
end

-- Says whether the quota, in the order of the keys, can be believed.
local function is_sound(known, now)
  local limit = whole(known[2], largest)
  return whole(known[1], largest) and limit and limit >= 1 and whole(known[3], largest)
    and (not known[4] or whole(known[4], now + throttle_most))
end

