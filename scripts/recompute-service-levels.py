#!/usr/bin/env python3
"""Computes service levels again, without any of nearframe's code.

    recompute-service-levels.py LEVELS.json

Reads what `GET /v1/service-levels/{month}` gave: checks that every site is the sum of its machines, and that every share
follows from the counts beside it, in integers, as docs/trust.md says. Prints each site; ends with 1 at the first difference.
"""

import json
import sys

COUNTS = ("sessions", "lost", "served_us")


def shares(level, way_back_us):
    due_us = level["served_us"] + level["lost"] * way_back_us
    available = level["served_us"] * 1_000_000 // due_us if due_us else 0
    lost = -(-level["lost"] * 1_000_000 // level["sessions"]) if level["sessions"] else 0
    return available, lost


def check(name, level, way_back_us):
    said = (level["availability_ppm"], level["lost_ppm"])
    computed = shares(level, way_back_us)
    if said != computed:
        sys.exit(f"{name}: it says {said}, but its counts come to {computed}")
    if level["lost"] > level["sessions"]:
        sys.exit(f"{name}: more was lost than there was")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        levels = json.load(file)
    way_back_us, sums = levels["way_back_us"], {}
    for node in levels["nodes"]:
        check(f"machine {node['node']}", node["level"], way_back_us)
        site = sums.setdefault(node["region"], dict.fromkeys(COUNTS, 0))
        for count in COUNTS:
            site[count] += node["level"][count]
    said = {site["region"]: {count: site["level"][count] for count in COUNTS} for site in levels["sites"]}
    if said != sums:
        sys.exit(f"the sites are {said}, but their machines come to {sums}")
    for site in levels["sites"]:
        check(f"site {site['region'] or 'unknown'}", site["level"], way_back_us)
        available = site["level"]["availability_ppm"]
        kept = "kept" if available >= levels["promised_ppm"] else "not kept"
        print(f"{site['region'] or 'unknown'}: {available / 10_000:.4f} % of the time, {site['level']['lost']} of "
              f"{site['level']['sessions']} sessions lost: the promise is {kept}")
    print(f"right: {len(levels['nodes'])} machines, {len(levels['sites'])} sites")


if __name__ == "__main__":
    main()
