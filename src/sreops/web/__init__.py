"""The HTTP side: webhook, API, event stream, health, pages."""
