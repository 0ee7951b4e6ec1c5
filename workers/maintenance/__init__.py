"""Work for many nodes, or for none: reading instances in batches, deleting what leaked.

Plain functions over the ports that they are given; which task calls them is the workers' application's affair.
"""
