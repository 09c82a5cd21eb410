"""A wrapper's folder may be a package."""

SIGNATURE = "the greeter"
