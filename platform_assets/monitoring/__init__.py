"""What an operator watches: figures read from the tables, the ledger and Dagster's own storage."""
