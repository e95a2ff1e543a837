"""The REST doors of the app: parse, call one core function, answer."""
