"""python -m chaos [--broker redis|rabbitmq|sqlite] [--tasks N] [--minutes M] [--seed S]; the exit code is the verdict."""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from support import COPPICE, DRILL

from . import brokers, ledger, table
from .disk import Disk
from .journal import Journal
from .killer import Killer
from .node import Node
from .producers import Producers
from .verdict import Judge, final

CHILDREN = 4


def say(text):
    print(text, flush=True)


def run(name, tasks, minutes, seed, folder):
    """(passed, the table's row)"""
    started = time.monotonic()
    records = folder / "ledger"
    records.mkdir(parents=True)
    disk = Disk(folder / "disk", brokers.MEGABYTES[name])
    if not disk.small:
        say(f"  {name}: no full disk in this run: {disk.refusal or 'mount refused'}")
    broker = brokers.ALL[name](folder, disk)
    nodes = []
    try:
        broker.start()
        for each in ("one", "two"):
            wire = broker.wire()
            nodes.append(Node(each, folder, records, broker.environment(wire), wire, CHILDREN).start())
        for node in nodes:
            node.ready()
        journal = Journal(folder / "journal")
        producers = Producers(broker, tasks, minutes * 60, seed).start()
        killer = Killer(seed, broker, nodes, journal).start()
        producers.finish(minutes * 60 * 3 + 60, killer.failures)
        killer.finish()
        say(f"  {name}: {len(producers.sent):,} sends acknowledged, {len(producers.unsure):,} not, in {time.monotonic() - started:.0f} s; "
            "now until all is quiet")  # fmt: skip
        for reason, count in Counter(reason[:150] for _, reason in producers.unsure).most_common(5):
            say(f"  {name}: {count} × {reason}")
        left = brokers.quiet(broker, [each.id for each in producers.sent], final, timeout=120)
        stored = broker.results([each.id for each in producers.sent])
        (folder / "sent").write_text("".join(json.dumps({**asdict(each), "record": stored.get(each.id)}) + "\n" for each in producers.sent))
        verdict = Judge(producers.sent, ledger.read(records), stored, journal).judge()
        ends = [node.finish() for node in nodes]
    finally:
        for node in nodes:
            node.close()
            if node.wire:
                node.wire.close()
        broker.stop()
        disk.close()
    took = time.monotonic() - started
    passed = verdict.passed and not left and not killer.failures and ends == [0, 0]
    report(name, verdict, left, killer.failures, ends, journal.counts(), took)
    return passed, table.row(name, len(producers.sent), took, verdict, journal.counts())


def report(name, verdict, left, failures, ends, kills, took):
    say(f"  {name}: {took:.0f} s; " + ", ".join(f"{count} × {kind}" for kind, count in sorted(kills.items())))
    say(f"  {name}: " + ", ".join(f"{count:,} {what}" for what, count in sorted(verdict.counts.items())))
    for what, items in (("never ran", verdict.never_ran), ("settled without a stored result", verdict.no_result),
                        ("ran again without a reason", verdict.unexplained), ("a verdict that the ledger contradicts", verdict.wrong),
                        ("the killer failed", failures)):  # fmt: skip
        for item in items[:20]:
            say(f"  {name}: {what}: {item}")
        if len(items) > 20:
            say(f"  {name}: {what}: {len(items) - 20} more")
    if left:
        say(f"  {name}: not quiet: {left}")
    if ends != [0, 0]:
        say(f"  {name}: the masters' exit codes: {ends}")
    if verdict.take_over >= 10:
        say(f"  {name}: a take-over took {verdict.take_over:.1f} s")


def main():
    parser = argparse.ArgumentParser(prog="chaos", description="Known tasks, two masters, and a killer; then the ledger is read.")
    parser.add_argument("--broker", action="append", choices=list(brokers.ALL), help="one of them; may be repeated (default: all)")
    parser.add_argument("--tasks", type=int, help="how many tasks per broker (default: 20,000; 1,500 with --quick)")
    parser.add_argument("--minutes", type=float, help="over how long they are sent (default: 4.5; 0.75 with --quick)")
    parser.add_argument("--seed", type=int, help="what decides tasks and kills (default: drawn and printed)")
    parser.add_argument("--quick", action="store_true", help="the short form that `make test` runs")
    parser.add_argument("--keep", action="store_true", help="keep ledger, logs and journal of a run that passed, too")
    options = parser.parse_args()
    for binary in (COPPICE, DRILL):
        if not binary.exists():
            sys.exit(f"{binary} is missing: make build")
    tasks = options.tasks or (1_500 if options.quick else 20_000)
    minutes = options.minutes or (0.75 if options.quick else 4.5)
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    names = options.broker or list(brokers.ALL)
    say(f"chaos: {tasks:,} tasks a broker over {minutes:g} minutes, two masters with {CHILDREN} children each, --seed {seed}")
    rows, failed = [], []
    for name in names:
        folder = Path(tempfile.mkdtemp(prefix=f"coppice-chaos-{name}-"))
        passed = False
        try:
            passed, row = run(name, tasks, minutes, seed, folder)
            rows.append(row)
        finally:
            if passed and not options.keep:
                shutil.rmtree(folder)
            else:
                say(f"  {name}: ledger, journal and logs are in {folder}")
        if not passed:
            failed.append(name)
    say("")
    say(table.markdown(rows))
    say(f"\n{len(names) - len(failed)} passed, {len(failed)} failed")
    if failed:
        sys.exit(f"not held on {', '.join(failed)} with --seed {seed}")


if __name__ == "__main__":
    main()
