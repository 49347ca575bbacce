"""What one step of a rule must do, in exact arithmetic.

It knows no port, no protocol, no check, and nothing of `signopt.rules`.

`formats` (what a dtype can hold), `arithmetic` (the operations of an order of evaluation), `habits` (what a port may do
in its own way), `law` (one step of a sign rule in exact numbers), `bounds` (how far a legal evaluation may stray),
`sieve` (the elements that are surely right, at once), `judge` (the others, one by one), `examine` (all tensors of a
step), `rules` (the list of rules, each with its own judge), and between them `momentum` and `step`: what a judge is
given and what it returns.
"""
