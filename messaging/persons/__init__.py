"""A person as a whole: everything we hold about them, exported or erased."""
