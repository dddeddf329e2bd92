"""The rows as Markdown, and their place in docs/RELIABILITY.md."""

from support import ROOT

DOCUMENT = ROOT / "docs" / "RELIABILITY.md"
BEGIN, END = "<!-- Written by `make faults`: -->", "<!-- until here. -->"


def markdown(rows, brokers):
    """`rows`: [(fault, {broker: verdict}), …]"""
    header = ("fault", "promised", "tasks lost", "tasks run twice", "told lost", "seconds until normal")
    lines = ["| " + " | ".join(header) + " |", "|---|---|" + "---:|" * 4]
    for fault, verdicts in rows:
        found = [verdicts[name] for name in brokers]
        cells = [fault.title, fault.promise, *(" / ".join(cell(each) for each in found) for cell in (lost, twice, told, seconds))]
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


def write(text):
    """Puts it between the marks."""
    document = DOCUMENT.read_text()
    before, _, rest = document.partition(BEGIN)
    _, mark, after = rest.partition(END)
    assert mark, f"no place for the table in {DOCUMENT.name}"
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
