"""The story that the agent of the deployed processes tells, and where it waits."""

STORY = tuple(f"word{number}" for number in range(1, 91))
"""Its words."""

GATES = {30: "1", 60: "2"}
"""The gate behind a word, by the number of the word."""
