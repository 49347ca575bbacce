"""The checks of Tiger alone: roles, RMS, windows, the NaN rule, the schedule, and all at once."""
