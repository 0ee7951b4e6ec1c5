"""How fast, and with how much: the product's real processes on the sandbox's servers. Nothing of the product imports
this; what is measured is judged by the reader, only wrong results are failures."""
