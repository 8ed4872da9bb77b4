"""The console's door to the bridge: loopback only, a token, Host and Origin checked."""
