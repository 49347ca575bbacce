"""Ports made of what other people wrote: one module for each way in which an implementation is driven."""
