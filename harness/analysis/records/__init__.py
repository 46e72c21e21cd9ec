"""Reads records into DataFrames, and writes Parquet."""
