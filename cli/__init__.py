"""The command line `vpc-rc`: starts each role, shows what is going on, and runs the whole beside its sandbox.

The only package that may import the sandbox. Nothing here decides about interfaces.
"""
