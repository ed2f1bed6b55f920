"""What `memescope bench NAME` runs, one module each."""
