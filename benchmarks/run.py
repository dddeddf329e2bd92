#!/usr/bin/env python3
"""Coppice beside Celery's prefork pool on one Redis and on one RabbitMQ, beside Huey on SQLite, in interleaved rounds; and beside what
that Redis and that RabbitMQ can do at all.

`make bench` runs it; `--quick` is the short form that `make test` ends with. Nothing in the table is written by hand.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "Tests")]

import ceiling  # noqa: E402
import measure  # noqa: E402
import rabbitmq  # noqa: E402
import sqlite  # noqa: E402
from contenders import Celery, Coppice  # noqa: E402
from measure import median, percentile  # noqa: E402
from prefill import Messages  # noqa: E402
from support import COPPICE  # noqa: E402
from support.redis_server import RedisServer  # noqa: E402

# Celery's default, and one that lets a round trip carry many small tasks. Both sides get the same.
DEFAULT, DEEP = 4, 64

FULL = dict(tasks=20_000, rounds=3, warm=1_000, samples=500, kills=50, celery_kills=5, starts=10, celery_starts=3, sample=4_000, replays=5,
            celery_tasks=3_000, huey_tasks=3_000)  # fmt: skip
QUICK = dict(tasks=2_000, rounds=1, warm=1_000, samples=100, kills=10, celery_kills=1, starts=5, celery_starts=1, sample=2_000, replays=3,
             celery_tasks=400, huey_tasks=500)  # fmt: skip


def say(text):
    print(text, flush=True)


def compare(coppice, celery, messages, plan):
    """The figures of both, by name: {"rate": {"coppice": …, "celery": …}, …}"""
    found = {name: {} for name in ("deep rate", "rate", "p50", "p99", "memory", "replaced", "start")}
    both = (coppice, celery)
    delays = {each.name: [] for each in both}
    for name, prefetch in (("deep rate", DEEP), ("rate", DEFAULT)):
        rates = {each.name: [] for each in both}
        try:
            for each in both:
                each.start(prefetch=prefetch)
                measure.drain(each, messages, plan["warm"])
                found["memory"][each.name] = measure.memory(each)
            for number in range(plan["rounds"]):
                for each in both:
                    rate = measure.drain(each, messages, plan["tasks"])
                    rates[each.name].append(rate)
                    say(f"  prefetch {prefetch:2}, round {number + 1}: {each.name:8} {rate:10,.0f} tasks/s")
        finally:
            for each in both:
                each.stop()
        for each in both:
            found[name][each.name] = median(rates[each.name])
    try:
        for each in both:
            each.start()
            measure.drain(each, messages, plan["warm"])
        portions = 5
        for _ in range(portions):
            for each in both:
                delays[each.name] += measure.latencies(each, messages, plan["samples"] // portions)
    finally:
        for each in both:
            each.stop()
    for each in both:
        found["p50"][each.name] = percentile(delays[each.name], 0.50)
        found["p99"][each.name] = percentile(delays[each.name], 0.99)
    say("  kills and starts …")
    for each, kills, starts in ((coppice, plan["kills"], plan["starts"]), (celery, plan["celery_kills"], plan["celery_starts"])):
        took = []
        for number in range(starts):
            try:
                took.append(each.start("info"))
                if number == starts - 1:
                    found["replaced"][each.name] = median(measure.replacements(each, kills))
            finally:
                each.stop()
        found["start"][each.name] = median(took)
    return found


def table(found, tops):
    """(rows of the table, {target: met})"""
    milliseconds = lambda seconds: f"{seconds * 1000:,.2f} ms"  # noqa: E731
    megabytes = lambda size: f"{size / 1e6:,.2f} MB"  # noqa: E731
    rows, met = [], {}

    def row(title, name, show, target, reached, more_is_better=False):
        ours, theirs = found[name]["coppice"], found[name]["celery"]
        ratio = ours / theirs if more_is_better else theirs / ours
        met[title] = reached(ours, ratio)
        rows.append((title, show(ours), show(theirs), f"{ratio:,.1f}×", target, "met" if met[title] else "MISSED"))

    for name, prefetch in (("deep rate", DEEP), ("rate", DEFAULT)):
        row(f"tasks per second, prefetch {prefetch} a child", name, lambda n: f"{n:,.0f}", "30× Celery", lambda _, ratio: ratio >= 30, True)
        ours, theirs, top = found[name]["coppice"], found[name]["celery"], tops[prefetch]
        met[f"share of the ceiling, prefetch {prefetch}"] = ours >= top / 2
        rows.append(("… of Redis' ceiling at that", f"{ours / top:.0%}", f"{theirs / top:.1%}", f"{top:,.0f}/s", "50 %",
                     "met" if ours >= top / 2 else "MISSED"))  # fmt: skip
    row("idle latency, p50", "p50", milliseconds, "1 ms", lambda value, _: value <= 0.001)
    row("idle latency, p99", "p99", milliseconds, "", lambda *_: True)
    row("private memory of a child", "memory", megabytes, "3 MB", lambda value, _: value < 3e6)
    row("kill -9 to replacement", "replaced", milliseconds, "20 ms", lambda value, _: value <= 0.020)
    row("start to READY", "start", milliseconds, "100 ms", lambda value, _: value <= 0.100)
    return rows, met


def show(rows):
    header = ("", "coppice", "celery or huey", "ratio", "target", "")
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    for row in [header, *rows]:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
        say("  ".join(cells).rstrip())


def redis(folder, plan):
    """(rows of the table, {bound: held}) on Redis"""
    server = RedisServer(folder / "redis").start()
    coppice, celery = Coppice(server, folder / "coppice"), Celery(server, folder / "celery")
    try:
        with server.client() as client:
            messages = Messages(server.url(), client)
        found = compare(coppice, celery, messages, plan)
        say("  the ceiling …")
        tops, calls = {}, {}
        for prefetch in (DEEP, DEFAULT):
            rates, calls[prefetch] = ceiling.replay(coppice, ceiling.record(coppice, messages, plan["sample"], prefetch), plan["replays"])
            tops[prefetch] = median(rates)
    finally:
        coppice.stop()
        celery.stop()
        server.stop()
    counts = " and ".join(f"{calls[prefetch]:,} (prefetch {prefetch})" for prefetch in (DEEP, DEFAULT))
    say(f"  Redis' ceiling: {counts} script calls that settled {plan['sample']:,} tasks, sent again by redis-cli --pipe with nothing else.")
    # A busy machine must not fail a test run; a broken hot path must.
    ratio = found["deep rate"]["coppice"] / found["deep rate"]["celery"]
    return table(found, tops)[0], {
        "throughput above 10× Celery's": ratio > 10,
        "p50 under 5 ms": found["p50"]["coppice"] < 0.005,
        "a child under 3 MB": found["memory"]["coppice"] < 3e6,
        "replacement under 200 ms": found["replaced"]["coppice"] < 0.2,
        "READY under 500 ms": found["start"]["coppice"] < 0.5,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a short run that fails only where a figure is off by much")
    parser.add_argument("--broker", action="append", choices=("redis", "rabbitmq", "sqlite"), help="one of them; may be repeated (default: all)")
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    if not COPPICE.exists():
        sys.exit(f"{COPPICE} is missing: make build")
    version = subprocess.run(["redis-server", "--version"], capture_output=True, text=True).stdout.split()[2]
    say(f"{plan['tasks']:,} × example.add (Celery on RabbitMQ {plan['celery_tasks']:,}, Huey {plan['huey_tasks']:,}), two children each, "
        f"STARTED tracked, results stored, Redis {version}, {os.cpu_count()} cores, {platform.release()}")  # fmt: skip
    rows, bounds = [], {}
    with tempfile.TemporaryDirectory(prefix="coppice-bench-") as name:
        for broker in options.broker or ("redis", "rabbitmq", "sqlite"):
            folder = Path(name) / broker
            if broker == "redis":
                made, held = redis(folder, plan)
            elif broker == "rabbitmq":
                made, ratios = rabbitmq.compare(folder, plan, say)
                held = {"throughput on RabbitMQ above 7× Celery's": max(ratios.values()) > 7}
            else:
                made, ratio = sqlite.compare(folder, plan, say)
                held = {"throughput on SQLite above 2× Huey's": ratio > 2}
            rows += made
            bounds |= held
    say("")
    show(rows)
    say("\nRates, latencies: interleaved rounds, median or percentile of all. Celery's replacement counts from the new process's existence.")
    say("On RabbitMQ and SQLite the clock starts with the first hundredth of the results: a worker's start is not in the figure.")
    if options.quick:
        failed = [text for text, held in bounds.items() if not held]
        say(f"\n{len(bounds) - len(failed)} passed, {len(failed)} failed")
        if failed:
            sys.exit("not held: " + "; ".join(failed))


if __name__ == "__main__":
    main()
