"""10,000 seats for twelve months: who is who, seat prices, and the true cost per team and per person, in CPU seconds.

    python benchmarks/seats_at_scale.py [SEATS=10000]

Everybody changes team once in the year; the billing cycle begins on the 12th. Both tables must add up to the same.
"""

from __future__ import annotations

import itertools
import sys
import time

import pandas as pd

import finops_ai as fa
from finops_ai.frames import SeatFrame, conform
from finops_ai.periods import Window

MONTHS = [f"2026-{month:02}" for month in range(1, 13)]


def main(count: int) -> None:
    """Print one line per step and the sum."""
    seats = conform(
        {
            "provider": ["cursor"] * count, "plan": ["teams-standard"] * count, "user_id": [f"p{n}@example.com" for n in range(count)],
            "seat_start": [pd.Timestamp("2025-01-01", tz="UTC")] * count, "telemetry": ["on"] * count, "source": ["api"] * count,
        },
        SeatFrame,
        source="benchmark",
    )  # fmt: skip
    accounts = [{"account": f"P{n}@Example.com", "person": f"P{n}"} for n in range(count)]
    teams = [
        {"person": f"P{n}", "team": f"t{(n + 7 * half) % 200}", "valid_from": (half and "2026-05-15") or "", "valid_to": "" if half else "2026-05-15"}
        for n in range(count)
        for half in (0, 1)
    ]  # fmt: skip
    prices = fa.SeatPrices.default().under([{"provider": "cursor", "plan": "teams-standard", "clock": 12}])
    marks = [("start", time.process_time())]
    who = fa.Identities.load(accounts, teams)
    marks.append(("who is who", time.process_time()))
    charges = prices.charges(seats, Window.of("2026-01-01", "2027-01-01"))
    marks.append((f"{len(charges):,} charges", time.process_time()))
    by_team = fa.people_months(who, bills=charges, month=MONTHS, by=["month", "team"])
    marks.append((f"{len(by_team):,} team-months", time.process_time()))
    by_person = fa.people_months(who, bills=charges, month=MONTHS, by=["month", "person"])
    marks.append((f"{len(by_person):,} person-months", time.process_time()))
    for (_, before), (name, after) in itertools.pairwise(marks):
        print(f"{name:<24}{after - before:6.2f} CPU s")
    whole = sum(by_team["cost"])
    print(
        f"{'priced and joined':<24}{marks[3][1] - marks[0][1]:6.2f} CPU s   {whole:,.2f} USD, both tables alike: {whole == sum(by_person['cost'])}"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
