"""The whole product against its own sandbox on one machine: a load, what happens live, and a verdict."""
