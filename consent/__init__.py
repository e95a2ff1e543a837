"""May we write to this person?"""
