"""Who we send for, and who may act."""
