"""Self-care of subscribers: the JSON API of the app and the pages of the site (SELF-1)."""
