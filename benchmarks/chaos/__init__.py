"""Random lives of a small cluster on real processes, with everything failing that can, and a judge outside."""
