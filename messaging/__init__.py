"""The life of an outbound message, from the API call to its known end."""
