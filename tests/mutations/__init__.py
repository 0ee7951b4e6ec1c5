"""Deliberate faults, put into a copy of the product one at a time, to see which tests notice them."""
