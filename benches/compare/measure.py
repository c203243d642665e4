"""What a request costs each gateway: processor time over requests, in rounds where all take turns."""

import contextlib
import json
import os
import pathlib
import statistics
import subprocess

import load
from tools import ROOT

TICKS = os.sysconf("SC_CLK_TCK")

# Of a setup, before anything is measured: processes, tables, a thousand tokens of each kind.
START_SECONDS = 8


class Gateway:
    """A process under test, and the `Authorization` its requests carry."""

    def __init__(self, name, port, process):
        self.name, self.port, self.process = name, port, process
        self.does, self.headers, self.authorizes = "", [], False

    def cpu_seconds(self):
        """User and system time of the process and its children."""
        total = 0
        for pid in family(self.process.pid):
            with contextlib.suppress(FileNotFoundError):
                fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
                total += int(fields[11]) + int(fields[12])
        return total / TICKS


def family(pid):
    pids = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            pids += family(int(child))
    return pids


def expected(setup, peers, options):
    """About how long a setup takes, in seconds."""
    if setup.work.name == "token-endpoint":
        return START_SECONDS + options.rounds * options.seconds
    gateways = 2 + len([peer for peer in peers if not peer.why_not(setup.work)])
    warm = 0 if options.quick else (gateways - 1) * 1.2
    return START_SECONDS + warm + options.rounds * gateways * (options.seconds + 0.2)


def rounds(stage, gateways, options):
    """A row for each gateway, and one for the upstream without any."""
    work = stage.setup.work
    direct = stage.upstream
    direct.name, direct.does, direct.headers = "direct", "nothing between", []
    for gateway in gateways if not options.quick else []:
        load.run(gateway, work, 1, options, stage.folder)  # connections, caches, branch predictors
    if not (work.tls or work.fault):
        gateways = [*gateways, direct]
    rows = [{"gateway": one.name, "does": one.does, "runs": []} for one in gateways]
    for number in range(options.rounds):
        for gateway, row in zip(gateways, rows):
            run = once(gateway, work, options, stage.folder)
            row["runs"].append(run)
            print(f"round {number + 1}  {gateway.name:12} {run['cpu_us']:8.2f} µs  {run['per_second']:8.0f}/s", flush=True)
    return summed_up(rows)


def once(gateway, work, options, folder):
    before = gateway.cpu_seconds()
    result = load.run(gateway, work, options.seconds, options, folder)
    cpu = gateway.cpu_seconds() - before
    return {
        "cpu_us": cpu * 1e6 / result["requests"],
        "per_second": result["requests"] / (result["microseconds"] / 1e6),
        "p50_us": result["p50_us"],
        "p99_us": result["p99_us"],
    }


def token_endpoint(binary, folder, options):
    """One row, by the benchmark next door: nobody else gives tokens out."""
    file = folder / "tokens.json"
    command = [ROOT / "benches/tokens/run", "--binary", binary, "--json", file]
    for name in ("rounds", "seconds", "connections", "gateway_core", "load_core"):
        command += ["--" + name.replace("_", "-"), getattr(options, name)]
    subprocess.run([*map(str, command)], check=True)
    return summed_up([{"gateway": "portcullis", "does": "signs a token", "runs": json.loads(file.read_text())}])


def summed_up(rows):
    """Medians, and the ratio to HAProxy in the same round: its median and range."""
    base = next((row["runs"] for row in rows if row["gateway"] == "haproxy"), None)
    for row in rows:
        for key in ("cpu_us", "per_second", "p50_us", "p99_us"):
            values = [run[key] for run in row["runs"] if run[key] is not None]
            row[key] = statistics.median(values) if values else None
        if base and row["gateway"] != "direct":
            ratios = [run["cpu_us"] / other["cpu_us"] for run, other in zip(row["runs"], base) if other["cpu_us"]]
            if ratios:
                row |= {"ratio": statistics.median(ratios), "ratio_least": min(ratios), "ratio_most": max(ratios)}
    return rows
