-- Requests for wrk: 48 allowed paths in turn, and every Authorization of a file in turn.
-- Arguments: the file, one header a line, which may be empty; bytes of a body, which make it a POST.
local requests, turn = {}, 0

-- More than this is not kept ready, but put together for each request.
local READY_BYTES = 64 * 1024 * 1024

local paths, headers, body

local function put_together(turn)
    if #headers > 0 then
        wrk.headers["Authorization"] = headers[turn % #headers + 1]
    end
    return wrk.format(body and "POST" or "GET", paths[turn % #paths + 1], nil, body)
end

-- After so many turns the same path meets the same header again.
local function period(a, b)
    local x, y = a, b
    while y > 0 do x, y = y, x % y end
    return a / x * b
end

function init(arguments)
    headers, paths = {}, {}
    for line in io.lines(arguments[1]) do headers[#headers + 1] = line end
    local bytes = tonumber(arguments[2])
    body = bytes > 0 and string.rep("x", bytes) or nil
    for site = 1, 16 do
        local base = "/repos/acme/site-" .. site
        if body then
            paths[#paths + 1] = base .. "/issues"
        else
            paths[#paths + 1] = base .. "/issues/" .. (site * 7)
            paths[#paths + 1] = base .. "/pulls?state=open"
            paths[#paths + 1] = base
        end
    end
    local all = period(#paths, math.max(#headers, 1))
    if all * (bytes + 1024) <= READY_BYTES then
        for turn = 1, all do requests[turn] = put_together(turn) end
    end
end

function request()
    turn = turn + 1
    if #requests > 0 then return requests[turn % #requests + 1] end
    return put_together(turn)
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '\nRESULT {"requests": %d, "microseconds": %d, "p50_us": %d, "p99_us": %d, "refused": %d, "failed": %d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
