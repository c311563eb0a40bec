"""What goes wrong on this computer, said in a way that helps: what it is, and what to do about it."""


class Problem(Exception):
    """Something that keeps Nestbox from running here.

    `message` is one sentence that says what is wrong. `mend` says what to do about it, and is empty when the
    message says it already. Standard library only: the set-up raises it before anything is installed.
    """

    def __init__(self, message: str, mend: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.message}\n  {self.mend}" if self.mend else self.message
