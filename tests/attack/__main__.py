"""Mutates streams and plays them through ``chat_with_tools``: ``python -m tests.attack --seed 1 --count 100000``.

A tool must never run for an answer that is not completed, nothing may hang, and every error is one of ours or the
user's own. Prints how many attacks ended how, and the first offenders of each kind. ``--only`` plays one of them again;
``--minimize`` looks for a shorter body with the same offence.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from collections import Counter
from dataclasses import replace

from tests.attack.mutations import Attack, attack
from tests.attack.runner import Offence, Report, run

SHOWN_OF_A_KIND = 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--start", type=int, default=0, help="the number of the first attack")
    parser.add_argument("--only", type=int, action="append", help="only this attack; may be repeated")
    parser.add_argument("--minimize", action="store_true", help="shorten the bodies of what is shown")
    options = parser.parse_args()
    # aiohttp says what it thinks of broken framings.
    logging.disable()
    numbers = options.only or range(options.start, options.start + options.count)
    begun = time.monotonic()
    report = asyncio.run(run(attack(options.seed, number) for number in numbers))
    print(f"seed {options.seed}, {len(numbers)} attacks, {time.monotonic() - begun:.0f} s")
    for outcome, times in report.outcomes.most_common():
        print(f"{times:8} {outcome}")
    _show(report, options.seed, minimize=options.minimize)
    return int(bool(report.offences))


def _show(report: Report, seed: int, *, minimize: bool) -> None:
    kinds = Counter(offence.kind for offence in report.offences)
    print(f"{len(report.offences)} offences {dict(kinds)}")
    for kind in kinds:
        for offence in [each for each in report.offences if each.kind == kind][:SHOWN_OF_A_KIND]:
            sent = _minimized(offence) if minimize else offence.sent
            print(f"\n{kind}: --seed {seed} --only {sent.number}\n  {offence.what[:600]}")
            print(f"  {', '.join(sent.mutations)}; {sent.framing}, {sent.ending}, {sent.content_type}")
            print("\n".join(f"  {line!r}" for line in (sent.raw or sent.body).splitlines(keepends=True)))


def _minimized(offence: Offence) -> Attack:
    """The same with fewer events, as long as the offence stays."""
    best = offence.sent if offence.sent.raw is not None else replace(offence.sent, sizes=(1 << 20,))
    place = 0
    while best.raw is None and place < len(blocks := best.body.split(b"\n\n")):
        shorter = replace(best, body=b"\n\n".join(blocks[:place] + blocks[place + 1 :]))
        offences = asyncio.run(run([shorter])).offences
        if any(each.kind == offence.kind for each in offences):
            best = shorter
        else:
            place += 1
    return best


if __name__ == "__main__":
    sys.exit(main())
