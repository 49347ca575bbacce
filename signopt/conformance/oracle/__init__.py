"""What one step of a rule must do, in exact arithmetic.

It knows no port, no protocol, no check, and nothing of `signopt.rules`.

`formats` (what a dtype can hold), `arithmetic` (the operations of an order of evaluation), `rules` (the suite's
rules), `law` (one step in exact numbers), `bounds` (how far a legal evaluation may stray), `sieve` (the elements that
are surely right, at once), `judge` (the others, one by one), `examine` (all of them).
"""
