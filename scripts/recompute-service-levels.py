#!/usr/bin/env python3
"""Computes service levels and credits again, without any of nearframe's code.

    recompute-service-levels.py LEVELS.json [--bill=BILL.json ...]

Reads what `GET /v1/service-levels/{month}` gave: checks that every site is the sum of its machines, that every share
follows from the counts beside it, and that what was credited follows from levels, table and what was paid, in integers,
as docs/trust.md says. With bills, as `GET /v1/sessions/{id}/bill` gave them, also checks that what of the month's credits was
for each lease is its part of what was paid for it then, to the micro-unit. Prints each site; ends with 1 at the first
difference.
"""

import json
import sys
from decimal import Decimal

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


def check_reach(name, reach):
    due, up = reach["due_ms"], reach["up_ms"]
    computed = up * 1_000_000 // due if due else 1_000_000
    if reach["reachable_ppm"] != computed:
        sys.exit(f"{name}: it says {reach['reachable_ppm']}, but its times come to {computed}")
    if up + reach["excused_ms"] > due:
        sys.exit(f"{name}: it was reached and excused for longer than it was due")


def micros(money):
    return int(Decimal(money["amount"]) * 1_000_000)


def check_credits(credits, sites):
    """The level of each site, what that is worth, and what each payer got."""
    worth = {}
    for site in credits["sites"]:
        region = site["region"]
        level = sites[region]["level"]["availability_ppm"]
        if region in credits["promised_regions"] and sites[region]["reach"]["due_ms"]:
            level = min(level, sites[region]["reach"]["reachable_ppm"])
        permille = max((step["permille"] for step in credits["steps"] if level < step["below_ppm"]), default=0)
        if (site["level_ppm"], site["permille"]) != (level, permille):
            sys.exit(f"credits of {region or 'unknown'}: it says {site['level_ppm']} and {site['permille']}, but its level "
                     f"is {level}, which is worth {permille}")
        worth[region] = permille
    for credit in credits["credits"]:
        paid, credited, by_host = (micros(credit[key]) for key in ("paid", "credited", "by_host"))
        if len({credit[key]["currency"] for key in ("paid", "credited", "by_host")}) != 1:
            sys.exit("a credit in several currencies")
        if credited != paid * worth[credit["region"]] // 1000:
            sys.exit(f"a credit of {credited} millionths, but {paid} were paid, of which {worth[credit['region']]} ‰ are due")
        if not 0 <= by_host <= credited * credits["host_permille"] // 1000:
            sys.exit(f"a host bore {by_host} millionths of {credited}")
    return len(credits["credits"])


def check_bill(bill, levels):
    """Shares are floors of what is cumulative over leases: each is its lease's part rounded down or up."""
    credits, checked = levels["credits"], 0
    worth = {site["region"]: site["permille"] for site in credits["sites"]}
    regions = {node["node"]: node["region"] for node in levels["nodes"]}
    for lease in bill["leases"]:
        own = [it for it in lease.get("credits", []) if it["why"] == "service" and it["about"] == levels["month"]]
        for credit in own:
            back = [it for it in lease.get("corrections", []) if it["to"] != "platform"]
            back += [it for it in lease.get("credits", []) if it not in own]
            before = sum(micros(it["amount"]) for it in back if it["at_ms"] < credit["at_ms"])
            paid = micros(lease["sums"]["total"]) - before
            due = paid * worth[regions[lease["node"]]]
            if abs(micros(credit["amount"]) * 1000 - due) >= 1000:
                sys.exit(f"lease {lease['lease']}: {micros(credit['amount'])} millionths of credit, but {due / 1000} are due")
            checked += 1
    return checked


def main():
    paths = [argument for argument in sys.argv[1:] if not argument.startswith("--bill=")]
    bills = [argument.removeprefix("--bill=") for argument in sys.argv[1:] if argument.startswith("--bill=")]
    if len(paths) != 1:
        sys.exit(__doc__)
    with open(paths[0], encoding="utf-8") as file:
        levels = json.load(file)
    way_back_us, sums = levels["way_back_us"], {}
    for node in levels["nodes"]:
        check(f"machine {node['node']}", node["level"], way_back_us)
        check_reach(f"machine {node['node']}", node["reach"])
        site = sums.setdefault(node["region"], dict.fromkeys(COUNTS, 0))
        for count in COUNTS:
            site[count] += node["level"][count]
    said = {site["region"]: {count: site["level"][count] for count in COUNTS} for site in levels["sites"]}
    if said != sums:
        sys.exit(f"the sites are {said}, but their machines come to {sums}")
    for site in levels["sites"]:
        check(f"site {site['region'] or 'unknown'}", site["level"], way_back_us)
        check_reach(f"site {site['region'] or 'unknown'}", site["reach"])
        available, reachable = site["level"]["availability_ppm"], site["reach"]["reachable_ppm"]
        kept = "kept" if available >= levels["promised_ppm"] or not site["level"]["sessions"] else "not kept"
        print(f"{site['region'] or 'unknown'}: {available / 10_000:.4f} % of the time, {site['level']['lost']} of "
              f"{site['level']['sessions']} sessions lost: the promise is {kept}; reachable {reachable / 10_000:.4f} %")
    posted = "nothing credited yet"
    if "credits" in levels:
        posted = f"{check_credits(levels['credits'], {site['region']: site for site in levels['sites']})} credits"
    if bills and "credits" not in levels:
        sys.exit("the month is not closed, so that no bill can have a part of it")
    shares = 0
    for path in bills:
        with open(path, encoding="utf-8") as file:
            shares += check_bill(json.load(file), levels)
    if bills:
        posted += f", {shares} parts of them in bills"
    print(f"right: {len(levels['nodes'])} machines, {len(levels['sites'])} sites, {posted}")


if __name__ == "__main__":
    main()
