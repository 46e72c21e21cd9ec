"""Records to DataFrames and Parquet."""
