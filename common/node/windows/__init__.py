"""A Windows node's addresses: the pool's size and contents, the calls about it, and the pods that take from it."""
