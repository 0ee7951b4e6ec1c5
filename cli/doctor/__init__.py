"""`vpc-rc doctor`: what is missing before the product can work, found by asking, changing nothing."""
