"""Prints the rules of httpbin that no request on standard input (`METHOD /path`, one a line) asks for."""
import sys

import httpbin

# The gateway forwards no TRACE; OPTIONS has no route; HEAD goes where GET goes.
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}

adapter = httpbin.app.url_map.bind("127.0.0.1")
asked = set()
for line in sys.stdin:
    method, target = line.split()
    try:
        rule, _ = adapter.match(target.partition("?")[0], method=method, return_rule=True)
    except Exception:  # only flasgger has it
        continue
    asked.add((method, rule.rule))

there = {(m, rule.rule) for rule in httpbin.app.url_map.iter_rules() for m in rule.methods & METHODS}
assert len(there) > 60, "the rules were not read"
for method, rule in sorted(there - asked):
    print(method, rule)
