#!/usr/bin/env python3
"""Computes a statement again, without any of nearframe's code.

    recompute-bill.py STATEMENT.csv [--card=CARD.json ...] [--auction=AUCTION.json ...]

Reads what `GET /v1/statements/{title}/{month}` gave: checks every receipt's bytes, hash, chain and both signatures
(Ed25519, RFC 8032, below in plain Python and therefore slow: --without-signatures leaves them out), computes what each
costs as docs/money.md says, and compares. With rate cards, as `GET /v1/prices/{version}` gave them, also checks that every
price follows from its card; that of standing by, from an auction that the machine won, as `GET /v1/auctions/{auction}` gave
it (recompute-auction.py computes that again). Prints the sums; ends with 1 at the first line that differs.
"""

import csv
import hashlib
import json
import struct
import sys

US_PER_HOUR = 3_600_000_000
WITNESS_TOLERANCE_US = 12_000_000
DOMAIN = b"nearframe/receipt/v1\0"

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


def recover_x(y, sign):
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if square == 0:
        return None if sign else 0
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P:
        return None
    return P - x if x & 1 != sign else x


def decode(data):
    number = int.from_bytes(data, "little")
    y = number & (1 << 255) - 1
    x = recover_x(y, number >> 255)
    return None if x is None else (x, y, 1, x * y % P)


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = (recover_x(BASE_Y, 0), BASE_Y, 1, recover_x(BASE_Y, 0) * BASE_Y % P)


def verified(key, message, signature):
    point, r = decode(key), decode(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if point is None or r is None or s >= ORDER:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    left, right = times(s, BASE), add(r, times(h, point))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


def check(row, before, signatures):
    """The receipt's own words, its place in the chain, its signatures, its price."""
    data = bytes.fromhex(row["receipt"])
    assert len(data) == 148 and data[:8] == b"NFRCPT01", "not a receipt"
    session, generation, sequence, previous, duration_us = struct.unpack_from("<16sII32sQ", data, 8)
    assert session.hex() == row["session"].replace("-", ""), "another session"
    assert (generation, sequence) == (int(row["generation"]), int(row["sequence"])), "another place"
    assert duration_us == int(row["duration_us"]), "another duration"
    digest = hashlib.sha256(data).digest()
    assert digest.hex() == row["receipt_sha256"], "another hash"
    billed_us, unsigned_us = int(row["billed_before_us"]), int(row["unsigned_before_us"])
    if sequence == 0:
        assert previous == bytes(32) and billed_us == unsigned_us == 0, "not the first of its lease"
    if before is not None:
        assert before == (sequence - 1, previous, billed_us, unsigned_us), "does not follow the one before"
    signed = bool(row["player_signature"])
    if signatures:
        message = DOMAIN + data
        node = bytes.fromhex(row["node_signature"])
        assert verified(bytes.fromhex(row["node_key"]), message, node), "the node's signature"
        player = bytes.fromhex(row["player_signature"])
        signed = signed and verified(bytes.fromhex(row["player_key"]), message, player)
        assert signed == (row["countersigned"] == "1"), "the player's signature"
    counted_us = duration_us
    if row["countersigned"] != "1":
        counted_us = min(duration_us, max(0, WITNESS_TOLERANCE_US - unsigned_us))
        unsigned_us += counted_us
    assert counted_us == int(row["billed_us"]), "another time"
    price, fee = int(row["price_micros_per_hour"]), int(row["fee_permille"])

    def cost(us):
        return price * us // US_PER_HOUR

    total = cost(billed_us + counted_us) - cost(billed_us)
    platform = cost(billed_us + counted_us) * fee // 1000 - cost(billed_us) * fee // 1000
    posted = tuple(int(row[name]) for name in ("total_micros", "platform_micros", "host_micros"))
    assert posted == (total, platform, total - platform), f"{posted} micro-units instead of {total, platform}"
    return (sequence, digest, billed_us + counted_us, unsigned_us)


def micros(amount):
    whole, _, fraction = amount.partition(".")
    return int(whole) * 1_000_000 + int(fraction.ljust(6, "0"))


def covers(code, region):
    return code in ("", region) or region.startswith(code + "-")


def check_standing(row, auctions, fee):
    """The price of an auction in which the machine won, or took the place of one that did."""
    machine = row["node"]
    won = [it for it in auctions if machine in it["winners"] + it["next"]]
    assert won, "no auction that is given was won by its machine"
    terms = (int(row["price_micros_per_hour"]), row["currency"])
    assert terms in [(it["price_micros_per_hour"], it["currency"]) for it in won], "its auctions came to other prices"
    assert int(row["fee_permille"]) == fee, f"the rate card says {fee} thousandths"


def check_price(row, cards, auctions):
    """The rate of the closest region, then of the highest tier that the machine reaches."""
    card = cards.get(row["rate_card"])
    assert card is not None, f"its price follows from rate card {row['rate_card'] or 'none'}, which is not given"
    if row["work"] == "reserve":
        return check_standing(row, auctions, card["fee_permille"])
    own = [rate for rate in card["rates"] if rate["work"] == row["work"]]
    rates = own or [rate for rate in card["rates"] if rate["work"] == "interactive"]
    tier, region = int(row["gpu_tier"]), row["rate_region"]
    fitting = [rate for rate in rates if rate["gpu_tier"] <= tier and covers(rate["region"], region)]
    closest = max(fitting, key=lambda rate: (len(rate["region"]), rate["gpu_tier"]))
    price = closest["price_per_hour"]
    terms = (micros(price["amount"]), price["currency"], card["fee_permille"])
    billed = (int(row["price_micros_per_hour"]), row["currency"], int(row["fee_permille"]))
    assert terms == billed, f"the rate card says {terms}, not {billed}"


def read_cards(arguments):
    cards = {}
    for path in (argument.removeprefix("--card=") for argument in arguments if argument.startswith("--card=")):
        with open(path, encoding="utf-8") as file:
            card = json.load(file)
        cards[str(card["version"])] = card
    return cards


def read_auctions(arguments):
    auctions = []
    for path in (it.removeprefix("--auction=") for it in arguments if it.startswith("--auction=")):
        with open(path, encoding="utf-8") as file:
            auctions.append(json.load(file))
    return auctions


def main():
    paths = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    signatures = "--without-signatures" not in sys.argv
    if len(paths) != 1:
        sys.exit(__doc__)
    chains, sums, lines = {}, {}, 0
    cards, auctions = read_cards(sys.argv[1:]), read_auctions(sys.argv[1:])
    with open(paths[0], newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            lines += 1
            try:
                chains[row["lease"]] = check(row, chains.get(row["lease"]), signatures)
                if cards:
                    check_price(row, cards, auctions)
            except AssertionError as error:
                sys.exit(f"line {lines + 1}, lease {row['lease']}, receipt {row['sequence']}: {error}")
            sums[row["currency"]] = sums.get(row["currency"], 0) + int(row["total_micros"])
    print(f"{lines} receipts of {len(chains)} leases are right")
    if cards:
        print(f"every price follows from {len(cards)} rate card{'s' if len(cards) > 1 else ''}")
    for currency, micros in sorted(sums.items()):
        print(f"{micros // 1_000_000}.{micros % 1_000_000:06} {currency}")


main()
