-- Sends the requests of a file in order, again and again: wrk -s replay.lua URL -- FILE MEAN_DELAY_MS
-- The file holds, for each request, its length on a line of its own, then its bytes.
local requests, position, mean = {}, 0, 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  while true do
    local length = file:read("*l")
    if not length then break end
    requests[#requests + 1] = file:read(tonumber(length))
  end
  file:close()
  mean = tonumber(args[2] or "0")
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
  position = position % #requests + 1
  return requests[position]
end
