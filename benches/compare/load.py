"""The load: wrk over HTTP/1.1, h2load over HTTP/2, both on one core and for a stated time."""

import json
import pathlib
import re
import subprocess

import tools

HERE = pathlib.Path(__file__).resolve().parent

# HTTP/2: few connections, each as full as gateways allow by default.
HTTP2_CONNECTIONS = 4
HTTP2_STREAMS = 100


def run(gateway, work, seconds, options, folder):
    """Requests, how long they took, and how many were not answered as they should be."""
    command = ["taskset", "-c", str(options.load_core)]
    command += h2load(gateway, seconds, folder) if work.http2 else wrk(gateway, work, seconds, options, folder)
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 90)
    result = read_h2load(done.stdout, seconds) if work.http2 else json.loads(done.stdout.split("RESULT ", 1)[1])
    refuses = gateway.authorizes and work.fault
    wrong = result["requests"] - result["refused"] if refuses else result["refused"]
    assert result["requests"] and not (wrong or result["failed"]), (
        f"{gateway.name}: {wrong} of {result['requests']} answers are not what is expected, "
        f"{result['failed']} failed\n{done.stdout}")
    return result


def wrk(gateway, work, seconds, options, folder):
    headers = folder / f"{gateway.name}.headers"
    headers.write_text("".join(f"{header}\n" for header in gateway.headers))
    scheme, host = ("https", "localhost") if work.tls else ("http", "127.0.0.1")
    command = [tools.find("wrk"), "-t1", f"-c{work.connections or options.connections}", f"-d{seconds}s", "--timeout", "60s"]
    return [*command, "-s", str(HERE / "load.lua"), f"{scheme}://{host}:{gateway.port}",
            "--", str(headers), str(work.body_bytes)]


def h2load(gateway, seconds, folder):
    """It takes a list of paths, and one token: it cannot change a header between requests."""
    paths = folder / f"{gateway.name}.paths"
    places = [f"/repos/acme/site-{site}" for site in range(1, 17)]
    places = [place + end for place in places for end in ("/issues/7", "/pulls?state=open", "")]
    paths.write_text("".join(f"https://localhost:{gateway.port}{place}\n" for place in places))
    command = ["h2load", f"-c{HTTP2_CONNECTIONS}", f"-m{HTTP2_STREAMS}", "-t1", "-D", str(seconds), "-i", str(paths)]
    if gateway.headers:
        command += ["-H", f"authorization: {gateway.headers[0]}"]
    return command


def read_h2load(text, seconds):
    assert "Application protocol: h2" in text, f"HTTP/2 was not spoken\n{text}"
    codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", text)
    two, three, four, five = (int(number) for number in codes.groups())
    return {"requests": two + three + four + five, "refused": three + four + five, "failed": 0,
            "microseconds": seconds * 1_000_000, "p50_us": None, "p99_us": None}
