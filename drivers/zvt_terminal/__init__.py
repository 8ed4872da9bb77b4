"""A pay station's card terminal by the ZVT protocol: the station asks, we are the terminal (class A). See README.md."""
