"""What people read of a run: tables, and every document's topic as Parquet."""
