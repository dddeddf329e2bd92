"""A run in words, and as a row for docs/RELIABILITY.md."""

HEADER = ("broker", "tasks", "minutes", "masters killed", "children killed", "broker killed / stopped", "connections cut / silent", "disk full",
          "never ran", "no result", "ran again, explained", "unexplained", "take-over")  # fmt: skip


def markdown(rows):
    lines = ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def row(broker, sent, seconds, verdict, kills):
    number = lambda *kinds: sum(kills.get(kind, 0) for kind in kinds)  # noqa: E731
    masters = number("master killed", "master gone for 11 s") + 2 * number("both masters killed")
    again = ", ".join(f"{count} {reason}" for reason, count in verdict.again.most_common())
    return (
        broker, f"{sent:,}", f"{seconds / 60:.1f}", f"{masters}, {number('master stopped', 'master stopped beyond its lease')} stopped",
        f"{number('child killed'):,}", f"{number('broker killed')} / {number('broker stopped', 'broker stopped for 10 s')}",
        f"{number('connections closed by the broker', 'connections reset')} / {number('connections silent')}", str(number("disk full")),
        str(len(verdict.never_ran)), str(len(verdict.no_result)), f"{sum(verdict.again.values())}" + (f" ({again})" if again else ""),
        str(len(verdict.unexplained)), f"{verdict.take_over:.1f} s at most of {verdict.taken_over}" if verdict.taken_over else "not measured",
    )  # fmt: skip
