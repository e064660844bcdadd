"""A labelled catalogue of faults, and the bench that runs it against the real root (docs/verdicts.md)."""
