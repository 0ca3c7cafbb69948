"""Text: made whole, cleaned, quoted, masked; nothing here knows what the text is about."""
