"""The bridge's line to the cloud: signed requests, the feed of completions in, reports and answers out."""
