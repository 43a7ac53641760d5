-- Sends the requests of a file in order, again and again: wrk -s replay.lua URL -- FILE MEAN_DELAY_MS [COUNT]
-- The file holds, for each request, its length on a line of its own, then its bytes. With COUNT, the first of
-- them is a pattern that numbers below COUNT are put into, out of order: that costs as much for few as for many.
local requests, position, mean, count = {}, 0, 0, nil
local STRIDE = 7919

function init(args)
  local file = assert(io.open(args[1], "rb"))
  while true do
    local length = file:read("*l")
    if not length then break end
    requests[#requests + 1] = file:read(tonumber(length))
  end
  file:close()
  mean = tonumber(args[2] or "0")
  count = tonumber(args[3] or "")
  if mean > 0 then
    -- wrk waits whole milliseconds: long and short ones in the right share make the mean.
    delay = function()
      local whole = math.floor(mean)
      if math.random() < mean - whole then return whole + 1 end
      return whole
    end
  end
end

function request()
  if count then
    position = (position + STRIDE) % count
    return string.format(requests[1], position)
  end
  position = position % #requests + 1
  return requests[position]
end
