"""What one step of Muon must do: the exact iterate, a proven radius around it, and the judgement of a port's step.

From the bottom up: `blocks` (integers with one exponent) → `exact` (momentum, look-ahead, norm, iterate, without
rounding) → `units` (with what precision a port computes) → `sensitivity` (how far an error is carried by the steps that
follow it) → `radius` (how far any legal evaluation may be off) → `spread` (the same by sampling, where 16 bits leave no
proof) → `law` (one tensor's step judged). The derivation is in docs/acceptance.md. Nothing here knows the library's own
rules.
"""
