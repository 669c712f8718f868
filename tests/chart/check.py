"""Checks the Helm chart and prints one line for each check. .ci/chart starts it, and installs what it needs.

The checks are the functions in the lists below. Each has one sentence of description, takes the chart and yields
what is wrong with it.
"""

import argparse
import os
import shutil
import sys
import time
import traceback

import monitoring
import mutations
import objects
import package
import program
import rendering
import schemas
import values
from chart import SCRATCH, Chart, Refused


def in_all_renders(rule):
    """A rule about the objects of one rendering as a check of the chart."""

    def check(chart):
        where = {}
        for name, rendered in chart.renders():
            for message in rule(rendered):
                where.setdefault(message, []).append(name)
        for message, names in where.items():
            yield f"{', '.join(dict.fromkeys(names))}: {message}"

    check.__name__, check.__doc__ = rule.__name__, rule.__doc__
    return check


CHECKS = [
    *rendering.CHECKS,
    *schemas.CHECKS,
    *map(in_all_renders, objects.RULES),
    *values.CHECKS,
    *monitoring.CHECKS,
    *package.CHECKS,
    *program.CHECKS,
]


def failures(check, chart):
    """What is wrong; a check that cannot go on says why."""
    try:
        yield from check(chart)
    except Refused as refused:
        yield str(refused)
    except Exception as error:
        # What is odd enough trips a check. That is a failure too, and not the end.
        place = traceback.extract_tb(error.__traceback__)[-1]
        yield f"{type(error).__name__}: {error} ({os.path.basename(place.filename)}:{place.lineno})"


def main():
    parser = argparse.ArgumentParser(prog=".ci/chart", description="Checks the Helm chart.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="the checks to run; all without it")
    parser.add_argument("--list", action="store_true", help="list the checks")
    parser.add_argument("--bless", action="store_true", help="write the golden files anew")
    parser.add_argument(
        "--mutations", action="store_true", help="only break the chart on purpose and see which check notices"
    )
    options = parser.parse_args()

    checks = {check.__name__: check for check in CHECKS}
    broken = mutations.check_of(checks, tell=options.mutations)
    checks["mutations"] = broken
    if options.list:
        return print(*(f"{name:28} {check.__doc__}" for name, check in checks.items()), sep="\n")
    if unknown := set(options.names) - set(checks):
        sys.exit(f".ci/chart: no check is called {', '.join(unknown)}; --list names them")
    names = ["mutations"] if options.mutations else options.names or list(checks)

    if not os.access(program.BINARY, os.X_OK):
        sys.exit(f".ci/chart: {program.BINARY} is missing; build the program, or name it in MEETING_CONTROL")

    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir(parents=True)
    chart = Chart()
    if options.bless:
        return rendering.bless(chart)
    if len(names) > 1:
        chart.prefetch()

    failed = []
    for name in names:
        start = time.monotonic()
        found = list(failures(checks[name], chart))
        print(f"{'FAILED' if found else 'ok':7} {checks[name].__doc__} [{name}, {time.monotonic() - start:.1f} s]")
        for message in found:
            print("        - " + message.replace("\n", "\n          "))
        sys.stdout.flush()
        failed += [name] if found else []
    print(
        f"\n{len(names) - len(failed)} of {len(names)} checks passed"
        + (f"; failed: {', '.join(failed)}" if failed else "")
    )
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
