"""The checks that take half of the time of a report: a thousand steps, large tensors, hundreds of tensors."""

LONG = {
    *("step/many", "sizes/large", "tensors/hundreds", "window/long", "rms/large"),
    *("identity/large", "turning/longer", "matrices/forty", "polynomial/large-sides"),
}
