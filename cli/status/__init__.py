"""The state of the cluster, out of Redis alone: reads, never writes."""
