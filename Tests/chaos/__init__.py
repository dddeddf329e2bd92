"""`make chaos`: a ledger test. Known tasks, two masters, a killer with a seed; then what ran is held against what was promised."""
