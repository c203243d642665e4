"""The figures for people, and what machine they are of."""

import pathlib
import platform
import subprocess

import tools


def table(result):
    """One setup: a line for each gateway, ours first."""
    lines = [f"\n{result['title']}; medians",
             f"{'gateway':12} {'does':26} {'CPU/request':>12} {'÷ HAProxy':>20} {'requests/s':>11} {'p50':>9} {'p99':>9}"]
    for row in result["rows"]:
        ratio = f"{row['ratio']:.2f} ({row['ratio_least']:.2f}–{row['ratio_most']:.2f})" if "ratio" in row else ""
        cpu = f"{row['cpu_us']:.2f} µs" if row["gateway"] != "direct" else ""
        lines.append(f"{row['gateway']:12} {row['does']:26} {cpu:>12} {ratio:>20} {row['per_second']:11.0f} "
                     f"{micros(row['p50_us']):>9} {micros(row['p99_us']):>9}")
    return "\n".join(lines)


def micros(value):
    return "" if value is None else f"{value:.0f} µs"


def settings(options):
    """How it was measured, without what only says where things lie."""
    left_out = {"json", "chart", "source", "binary", "pingora", "no_install", "full", "work", "routes", "tokens"}
    return {key: value for key, value in vars(options).items() if key not in left_out}


def machine():
    """What the figures were seen on, as far as the machine tells."""
    text = pathlib.Path("/proc/cpuinfo").read_text()
    models = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=tools.ROOT, capture_output=True, text=True)
    versions = {"haproxy": ["-v"], "nginx": ["-v"], "wrk": ["-v"], "h2load": ["--version"]}
    found = {name: tools.version([tools.find(name), *arguments]) for name, arguments in versions.items() if tools.find(name)}
    for name, arguments in {"envoy": ["--version"], "caddy": ["version"]}.items():
        program, _ = tools.wheel(name, may_install=False)
        if program:
            found[name] = tools.version([program, *arguments])
    return {"processor": models[0] if models else platform.machine(), "cores": len(models),
            "kernel": platform.release(), "commit": commit.stdout.strip(), "versions": found}
