-- POSTs chat completions of 64 users in turn; says at the end what came of it, as one JSON line.
-- More headers come as arguments: wrk … -- 'name: value' …; 'pause-ms: N' is none, but the pause of a
-- connection before each request.
local requests = {}
local turn = 0

function init(args)
  local headers = { ["content-type"] = "application/json" }
  for _, line in ipairs(args) do
    local name, value = line:match("^([^:]+): *(.*)$")
    if name == "pause-ms" then
      function delay() return tonumber(value) end
    elseif name then
      headers[name] = value
    end
  end
  local text = string.rep("How long does a refund take? ", 8)
  for user = 1, 64 do
    local body = string.format(
      '{"model":"bench","user":"u-%d","messages":[{"role":"user","content":"%s"}]}', user, text)
    requests[user] = wrk.format("POST", nil, headers, body)
  end
end

function request()
  turn = turn % 64 + 1
  return requests[turn]
end

function done(summary, latency, _)
  local e = summary.errors
  local failed = e.connect + e.read + e.write + e.status + e.timeout
  print(string.format(
    '{"requests":%d,"seconds":%f,"p50_us":%d,"p99_us":%d,"max_us":%d,"failed":%d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    latency.max, failed))
end
