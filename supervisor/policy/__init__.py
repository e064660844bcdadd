"""The decisions of supervision: pure functions and tables over frozen values, `now` and chance passed in.

restart     who is started again, who falls with whom, who waits for whom
backoff     how long to wait
parking     when a crash is deterministic
intensity   how many restarts are too many, and who answers then
orders      what an operator's order gets for an answer
shutdown    how long a child is given to end

To make the tree behave differently, change a function here; `supervisor/tree.py` only asks.
"""
