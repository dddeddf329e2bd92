"""The rows as Markdown, and their place in docs/RELIABILITY.md."""

from support import ROOT

DOCUMENT = ROOT / "docs" / "RELIABILITY.md"
END = "<!-- until here. -->"
FAULTS, REFUSALS = "<!-- Written by `make faults`: -->", "<!-- What brokers refuse, written by `make faults`: -->"
NAMES = {"redis user": "Redis", "rabbitmq user": "RabbitMQ", "rabbitmq replies": "RabbitMQ, `rpc://`"}


def markdown(rows):
    """`rows`: [(fault, {broker: verdict}), …]; a table for each place in the document that has rows."""
    tables = {FAULTS: faults([row for row in rows if not row[0].is_refusal]), REFUSALS: refusals([row for row in rows if row[0].is_refusal])}
    return {place: text for place, text in tables.items() if text}


def faults(rows):
    if not rows:
        return ""
    header = ("fault", "promised", "tasks lost", "tasks run twice", "told lost", "seconds until normal")
    lines = ["| " + " | ".join(header) + " |", "|---|---|" + "---:|" * 4]
    for fault, verdicts in rows:
        cells = [fault.title, fault.promise, *(" / ".join(cell(each) for each in verdicts.values()) for cell in (lost, twice, told, seconds))]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def refusals(rows):
    if not rows:
        return ""
    header = ("broker", "what it refuses", "promised to that task", "how it ended", "tasks lost", "tasks run twice", "told lost",
              "seconds until the others are as before")  # fmt: skip
    lines = ["| " + " | ".join(header) + " |", "|---|---|---|---|" + "---:|" * 4]
    for fault, verdicts in rows:
        for name, verdict in verdicts.items():
            cells = [NAMES[name], fault.name.replace("|", r"\|"), fault.promise, ", ".join(verdict.ends) or "-", lost(verdict), twice(verdict),
                     told(verdict), seconds(verdict)]  # fmt: skip
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def lost(verdict):
    return str(len(verdict.lost))


def twice(verdict):
    kinds = [f"{count} {kind}" for kind, count in (("late", verdict.again), ("early", verdict.early_again)) if count]
    return ", ".join(kinds) or "0"


def told(verdict):
    return str(verdict.told)


def seconds(verdict):
    return f"{verdict.seconds:.2f}" if verdict.seconds < 1 else f"{verdict.seconds:.1f}"


def write(tables):
    """Puts each between its marks."""
    document = DOCUMENT.read_text()
    for place, text in tables.items():
        before, _, rest = document.partition(place)
        _, mark, after = rest.partition(END)
        assert mark, f"no place for the table in {DOCUMENT.name}"
        document = f"{before}{place}\n\n{text}\n\n{END}{after}"
    DOCUMENT.write_text(document)
