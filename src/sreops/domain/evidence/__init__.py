"""Evidence: what was found about an incident, and how it is worded."""
