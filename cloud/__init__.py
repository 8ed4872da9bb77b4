"""The second management server: takes payments on the lots' behalf and hands signed completions to their bridges."""
