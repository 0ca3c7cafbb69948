"""Messages to people, by Apprise in a child process of its own; ``child`` imports nothing else of sreops."""
