-- Requests for wrk: 48 allowed paths in turn, and every token of a file in turn.
-- Argument: the file of tokens, one a line; it may be empty.
local paths, tokens, turn = {}, {}, 0

function init(arguments)
    for line in io.lines(arguments[1]) do
        tokens[#tokens + 1] = "Bearer " .. line
    end
    for site = 1, 16 do
        local base = "/repos/acme/site-" .. site
        paths[#paths + 1] = base .. "/issues/" .. (site * 7)
        paths[#paths + 1] = base .. "/pulls?state=open"
        paths[#paths + 1] = base
    end
end

function request()
    turn = turn + 1
    if #tokens > 0 then
        wrk.headers["Authorization"] = tokens[turn % #tokens + 1]
    end
    return wrk.format("GET", paths[turn % #paths + 1])
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '\nRESULT {"requests": %d, "microseconds": %d, "p50_us": %d, "p99_us": %d, "failed": %d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
