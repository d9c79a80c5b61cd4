"""The dashboard: pages of the API for people, made on the server, without a script."""
