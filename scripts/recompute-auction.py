#!/usr/bin/env python3
"""Clears an auction again, without any of nearframe's code.

    recompute-auction.py AUCTION.json

Reads what `GET /v1/auctions/{auction}` gave of one that is over: checks the seed against its hash, every seal against what
was opened and every signature of a machine (Ed25519, RFC 8032), says who is out and why, draws between equal bids, and
compares winners, those who follow, and the price, as docs/money.md says. Prints them; ends with 1 where something differs.
"""

import hashlib
import json
import struct
import sys

SEALED = b"nearframe/sealed-bid/v1\0"
DRAW = b"nearframe/auction-draw/v1\0"

# Ed25519: the curve -x² + y² = 1 + d x² y² modulo P, points as (X, Y, Z, T).
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(a, b):
    x, y = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    t, z = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = y - x, z - t, z + t, y + x
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n, point):
    result = (0, 1, 1, 0)
    while n:
        if n & 1:
            result = add(result, point)
        point, n = add(point, point), n >> 1
    return result


def decode(data):
    number = int.from_bytes(data, "little")
    y, sign = number & (1 << 255) - 1, number >> 255
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = decode((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def verified(key, message, signature):
    point, r = decode(key), decode(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if point is None or r is None or s >= ORDER:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    left, right = times(s, BASE), add(r, times(h, point))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


def raw(identifier):
    return bytes.fromhex(identifier.replace("-", ""))


def why_out(auction, entry):
    """Why a machine is out; None: its bid counts."""
    signed = SEALED + raw(auction["auction"]) + raw(entry["node"]) + bytes.fromhex(entry["seal"])
    if not verified(bytes.fromhex(entry["key"]), signed, bytes.fromhex(entry["signature"])):
        return "forged"
    if entry["sealed_at_ms"] > auction["seal_until_ms"]:
        return "sealed_late"
    if entry.get("bid") is None or entry["opened_at_ms"] > auction["open_until_ms"]:
        return "not_opened"
    bid, nonce = bytes.fromhex(entry["bid"]), bytes.fromhex(entry["nonce"])
    sealed = hashlib.sha256(bid + nonce).hexdigest() == entry["seal"]
    currency = auction["currency"].encode().ljust(8, b"\0")
    head = b"NFBID001" + raw(auction["auction"]) + raw(entry["node"])
    if not sealed or len(bid) != 56 or bid[:40] != head or bid[48:] != currency:
        return "other_bid"
    if entry.get("taken_by"):
        return "taken"
    if price(entry) > auction["ceiling_micros_per_hour"]:
        return "above_ceiling"
    return None


def price(entry):
    return struct.unpack_from("<Q", bytes.fromhex(entry["bid"]), 40)[0]


def clear(auction):
    seed = bytes.fromhex(auction["seed"])
    assert hashlib.sha256(seed).hexdigest() == auction["seed_hash"], "the seed is not the one whose hash was told"
    entries = sorted(auction["bids"], key=lambda entry: raw(entry["node"]))
    assert len({entry["node"] for entry in entries}) == len(entries), "a machine has two bids"
    counting = []
    for entry in entries:
        out = why_out(auction, entry)
        assert out == entry.get("out"), f"{entry['node']} is out for {out}, not {entry.get('out')}"
        if out is None:
            counting.append(entry)
    draw = hashlib.sha256(DRAW + raw(auction["auction"]) + seed)
    for entry in counting:
        draw.update(bytes.fromhex(entry["nonce"]))
    rank = {entry["node"]: hashlib.sha256(draw.digest() + raw(entry["node"])).digest() for entry in counting}
    counting.sort(key=lambda entry: (price(entry), rank[entry["node"]]))
    machines = auction["machines"]
    called_off = auction["closed_at_ms"] <= auction["open_until_ms"]
    if len(counting) < machines or called_off:
        return None, [], []
    losers = counting[machines:]
    paid = price(losers[0]) if losers else auction["ceiling_micros_per_hour"]
    names = lambda some: [entry["node"] for entry in some]
    return paid, names(counting[:machines]), names(entry for entry in losers if price(entry) <= paid)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        auction = json.load(file)
    if auction.get("seed") is None:
        sys.exit("the auction is not over")
    try:
        paid, winners, following = clear(auction)
        told = (auction.get("price_micros_per_hour"), auction["winners"], auction["next"])
        assert told == (paid, winners, following), f"it came to {paid, winners, following}, not {told}"
    except AssertionError as error:
        sys.exit(f"auction {auction['auction']}: {error}")
    bids = len(auction["bids"])
    if paid is None:
        print(f"{bids} bids are right: called off, or too few for {auction['machines']} machines")
    else:
        print(f"{bids} bids are right: {len(winners)} machines at {paid} micro-units of {auction['currency']} an hour")
        for node in winners:
            print(node)


main()
