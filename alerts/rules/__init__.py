"""Pure judgement: from figures and thresholds to findings. No database, no clock, no settings."""
