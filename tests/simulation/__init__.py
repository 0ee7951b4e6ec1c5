"""The product's own code under a virtual clock, with every outside call as a place to crash."""
