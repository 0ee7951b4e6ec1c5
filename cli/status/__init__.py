"""The cluster at a glance, out of Redis alone: reads, never writes."""
