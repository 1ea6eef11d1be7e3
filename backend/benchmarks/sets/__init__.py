"""The paper's eight benchmarks, one file each: what they are, how they are read, and how to get them."""
