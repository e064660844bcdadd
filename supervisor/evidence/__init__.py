"""The readers: one small file per class of evidence. They look and count; what it means, the judge decides.

Nothing here keeps a decision, and nothing in supervisor/verdict reads anything itself: a value passes from the one room
to the other, frozen, with the time it was seen.
"""
