-- For wrk: sends prepared requests in their order, and notes every answer where that is asked for.
-- Arguments: a directory; "once" if running out of requests must be noticed, else "again"; "note" or "count".
-- Each thread has a file of its own there, requests.N, of records: a length, a line break, so many bytes.

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

function init(args)
  requests = assert(io.open(args[1] .. "/requests." .. number, "rb"))
  ran_out = false
  if args[3] == "note" then
    answers = assert(io.open(args[1] .. "/answers." .. number, "wb"))
    response = function(status, headers, body)
      answers:write(status, " ", #body, "\n", body)
    end
  end
  once = args[2] == "once"
end

function request()
  local length = requests:read("*l")
  if not length then
    ran_out = once
    requests:seek("set")
    length = requests:read("*l")
  end
  return requests:read(tonumber(length))
end

function done(summary, latency, _)
  local out = false
  for _, thread in ipairs(threads) do
    out = out or thread:get("ran_out")
  end
  local errors = summary.errors
  print(string.format(
    '\n{"answered": %d, "seconds": %.6f, "p50": %.3f, "p95": %.3f, "p99": %.3f, "max": %.3f,'
      .. ' "refused": %d, "broken": %d, "ran_out": %s}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3,
    latency:percentile(99) / 1e3, latency.max / 1e3, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, tostring(out)))
end
