"""The smallest valid rows, with keyword overrides."""
