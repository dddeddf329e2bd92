"""The rights that docs/OPERATIONS.md names for the worker's user on Redis."""

import re

from . import ROOT


def documented_rights():
    """The words of its ACL SETUSER, from the first rule on."""
    text = (ROOT / "docs" / "OPERATIONS.md").read_text()
    return re.search(r"ACL SETUSER coppice on >PASSWORD ((?:.+\n)+)", text).group(1).split()
