"""Values that every layer shares: ids, nodes, pods, ledgers, actions, errors.

Nothing here does I/O, reads a clock or decides anything.
"""
