"""A first management server that is reached over HTTP: it knows stays and fees, books payments, and says who paid."""
