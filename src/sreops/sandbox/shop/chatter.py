"""The ordinary lines of the shop's services: what a decisive line has to be found among."""

from __future__ import annotations

import random

from sreops.sandbox.shop.ailments import Line

_CURRENCIES = ("EUR", "USD", "GBP", "CHF")
_ORDINARY: dict[str, tuple[str, ...]] = {
    "storefront": (
        "GET /products/{number} 200 {ms}ms user={user}",
        "GET / 200 {ms}ms user={user}",
        "GET /search?q=lamp&page={small} 200 {ms}ms user={user}",
        "session {hex} refreshed for user={user}",
        "rendered template product.html in {ms}ms (cache hit)",
    ),
    "checkout": (
        "POST /orders 201 {ms}ms order={number} user={user}",
        "order {number} confirmed, {small} items, total {small}.90 {currency}",
        "reserving stock for order {number}: {small} items",
        "payment intent {hex} created for order {number}",
        "GET /orders/{number} 200 {ms}ms",
    ),
    "payments": (
        "POST /charges 201 {ms}ms charge={hex}",
        "charge {hex} captured: {small}.50 {currency}",
        "webhook from acquirer accepted: event={hex}",
        "idempotency key {hex} seen before, answering from cache",
        "settlement batch {number}: {small} entries, 0 errors",
        "fraud score for charge {hex}: 0.{small} (pass)",
    ),
    "inventory": (
        "GET /stock/{number} 200 {ms}ms",
        "POST /reservations 201 {ms}ms order={number}",
        "released {small} expired reservations",
        "pool stats: total=20 active={small} idle=11 waiting=0",
        "synchronised {number} SKUs with warehouse in {ms}ms",
    ),
    "ledger-db": (
        "LOG:  checkpoint complete: wrote {number} buffers (0.{small}%); write={ms} ms, sync=2 ms",
        "LOG:  duration: {ms}.104 ms  statement: INSERT INTO entries VALUES ($1, $2, $3)",
        'LOG:  automatic vacuum of table "ledger.public.entries": index scans: 1, pages: 0 removed',
        "LOG:  connection authorized: user=ledger database=ledger application_name=payments",
        "LOG:  disconnection: session time: 0:00:{small}.213 user=ledger database=ledger",
    ),
    "recommendations": (
        "GET /similar/{number} 200 {ms}ms",
        "model v{small} scored {number} candidates in {ms}ms",
        "feature cache: hit ratio 0.{small}",
    ),
}
_HARMLESS: tuple[Line, ...] = (
    # Lines that look bad and mean nothing: a filter for the word "error" picks these up.
    ("warn", "retrying request {hex} after connection reset (attempt 1 of 3)"),
    ("warn", "deprecated header X-Shop-Error-Format used by client {user}"),
    ("info", "error budget report: {small} of {number} minutes used"),
    ("warn", "slow query ({ms}ms): SELECT * FROM carts WHERE user_id = $1"),
    ("error", "client {user} sent an invalid coupon: error=COUPON_EXPIRED (answered 422)"),
)


def _filled(template: str, rng: random.Random) -> str:
    return template.format(
        number=rng.randrange(1000, 99999),
        small=rng.randrange(10, 60),
        ms=rng.randrange(3, 180),
        user=f"u{rng.randrange(10**5):05d}",
        hex=f"{rng.getrandbits(48):012x}",
        currency=rng.choice(_CURRENCIES),
    )


def ordinary(service: str, rng: random.Random) -> Line:
    """One line of a service that has nothing to tell."""
    if rng.random() < 0.04:
        level, template = rng.choice(_HARMLESS)
        return level, _filled(template, rng)
    return "info", _filled(rng.choice(_ORDINARY[service]), rng)


def complaint(neighbour: str, status: str, rng: random.Random) -> Line:
    """What a service writes when the one it depends on fails it."""
    return "warn", _filled(f"upstream {neighbour} answered {status} after {{ms}}ms, retry scheduled", rng)
