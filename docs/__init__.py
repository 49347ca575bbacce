"""The scripts of the documentation: what a page says is written or measured by them."""
