"""One configuration, one loop, a stream of events."""
