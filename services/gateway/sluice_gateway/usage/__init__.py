"""Usage on its way from a request to the database: journal file, Redis stream, consumer."""
