"""Text from outside: quoted, masked, matched and shown without harm."""
