"""Text from outside: quoting, redaction, patterns."""
