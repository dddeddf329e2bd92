"""python -m faults [--broker redis|sqlite|rabbitmq] [--row TEXT] [--quick] [--write]; the exit code is the verdict."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from chaos import brokers
from chaos.verdict import final
from support import COPPICE, DRILL

from . import servers, table
from .binary import BINARY
from .child import CHILD
from .master import MASTER
from .refusals import REFUSALS
from .scene import Scene
from .verdict import Verdict, judge

FAULTS = [*CHILD, *MASTER, *BINARY, *REFUSALS]
# How long the load goes on when all is normal: what is wrong yet shows.
AFTERMATH = 0.7


def say(text):
    print(text, flush=True)


def run(fault, name, folder):
    """(what was measured, what was not as promised)"""
    scene = Scene(name, folder, fault)
    try:
        scene.start()
        fault.harm(scene)
        scene.recover(fault.replaced, timeout=fault.seconds + 10)
        time.sleep(AFTERMATH)
        whole = scene.whole(fault.replaced)
        scene.load.finish()
        sent = scene.load.sent
        ids = [each.id for each in sent] + list(scene.culprits)
        left = brokers.quiet(scene.broker, ids, final, timeout=30)
        code = scene.worker.stop(timeout=20)
        verdict = judge(sent, scene.culprits, scene.runs(), scene.broker.results(ids), scene.ready_times(), scene.ended or scene.began)
        broken = verdict.broken(fault)
        if left:
            broken.append(f"not quiet: {left}")
        if not whole:
            broken.append(f"{len(scene.worker.children)} children, {scene.before} before the fault")
        if code != 0:
            broken.append(f"the master's exit code: {code}")
    except (AssertionError, OSError, subprocess.SubprocessError) as failure:
        verdict, broken = Verdict(), [str(failure)]
    finally:
        scene.close()
    return verdict, broken


def attempt(fault, name, keep):
    folder = Path(tempfile.mkdtemp(prefix=f"coppice-fault-{name}-"))
    started = time.monotonic()
    try:
        verdict, broken = run(fault, name, folder)
    except BaseException:
        shutil.rmtree(folder)
        raise
    say(f"  {name:16} {fault.title:70} {'BROKEN' if broken else 'held':7} {table.lost(verdict)} lost of {verdict.tasks}, {table.twice(verdict)} twice, "
        f"{verdict.told} told lost, {table.seconds(verdict)} s; took {time.monotonic() - started:.0f} s")  # fmt: skip
    for each in broken[:20]:
        say(f"           {each}")
    if broken and keep:
        say(f"           ledger and broker's files are in {folder}")
    else:
        shutil.rmtree(folder)
    return verdict, not broken


def main():
    parser = argparse.ArgumentParser(prog="faults", description="Each fault, done to a real master under a steady load, and what came of it.")
    parser.add_argument("--broker", action="append", choices=list(servers.ALL),
                        help="one of them; may be repeated (default: those of each row)")  # fmt: skip
    parser.add_argument("--row", action="append", help="only faults whose title has this text; may be repeated")
    parser.add_argument("--quick", action="store_true", help="the short form that `make test` runs: some rows, each on its first broker")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/RELIABILITY.md")
    parser.add_argument("--keep", action="store_true", help="keep the files of a row that broke its promise")
    options = parser.parse_args()
    for binary in (COPPICE, DRILL):
        if not binary.exists():
            sys.exit(f"{binary} is missing: make build")
    wanted = [fault for fault in FAULTS if (fault.quick or not options.quick)
              and (not options.row or any(text in fault.title for text in options.row))]  # fmt: skip
    started = time.monotonic()
    say(f"faults: {len(wanted)}, {os.cpu_count()} cores")
    rows, count, failed = [], 0, 0
    for fault in wanted:
        verdicts = {}
        for name in fault.on[:1] if options.quick else fault.on:
            if options.broker and name not in options.broker:
                continue
            verdicts[name], held = attempt(fault, name, options.keep)
            count += 1
            failed += not held
        if verdicts:
            rows.append((fault, verdicts))
    text = table.markdown(rows)
    if options.write:
        table.write(text)
    else:
        say("\n" + "\n\n".join(text.values()))
    say(f"\n{count - failed} held, {failed} broken, {time.monotonic() - started:.0f} s")
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
