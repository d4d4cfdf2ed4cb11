"""Files of all tenants: their records in the database, their content in the blob store."""
