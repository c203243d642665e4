"""Tables of routes, and how each gateway is told of one.

The routes of the load stand last, where a table that is searched from its top finds them last. GitHub's
1,223 operations are a list beside this folder; the large table is that list again and again, each time
below a segment of its own.
"""

import itertools
import re

from tools import ROOT

NAMES = ["20", "github", "10000"]

USED = [
    ("GET", "/repos/{owner}/{repo}/issues/{issue_number}"),
    ("GET", "/repos/{owner}/{repo}/pulls"),
    ("POST", "/repos/{owner}/{repo}/issues"),
    ("GET", "/repos/{owner}/{repo}"),
]


def table(name):
    """Method and template of every route."""
    others = {"20": twenty, "github": github, "10000": many}[name]
    return [route for route in others() if route not in USED] + USED


def twenty():
    return [("GET", f"/part-{number}/{{item}}") for number in range(20 - len(USED))]


def github():
    lines = (ROOT / "benches/data/github-routes.txt").read_text().splitlines()
    return [tuple(line.split(" ")) for line in lines]


def many():
    again = ((method, f"/api{turn}{path}") for turn in itertools.count(1) for method, path in github())
    return list(itertools.islice(again, 10_000 - len(USED)))


def permission(method, path):
    first = path.split("/")[1]
    resource = "".join(c if c.isalnum() else "-" for c in first).strip("-") or "root"
    return f"{resource}:{'view' if method in ('GET', 'HEAD') else 'edit'}"


def by_permission(routes):
    """The routes each permission opens."""
    found = {}
    for method, path in routes:
        found.setdefault(permission(method, path), []).append((method, path))
    return found


def policy(routes):
    """As Portcullis reads it."""
    permissions = sorted(by_permission(routes))
    declared = "".join(f"  {one}: Part of the comparison\n" for one in permissions)
    lines = "".join(f"  {method} {path}: {permission(method, path)}\n" for method, path in routes)
    roles = f"  everything:\n    description: All of it\n    permissions: [{', '.join(permissions)}]\n"
    return f"upstream: api\npermissions:\n{declared}roles:\n{roles}routes:\n{lines}"


def pattern(path):
    """A template as a regular expression, for gateways that have nothing else."""
    parts = re.split(r"\{[^}]*\}", path)
    return "[^/]+".join(re.escape(part).replace("\\-", "-") for part in parts)
