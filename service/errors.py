"""The domain's own exceptions: what can go wrong here, in our words."""


class AppointmentsError(Exception):
    """Every error that this service raises on purpose."""


class SettingsError(AppointmentsError):
    """A setting is missing or malformed; the message is one line that names it."""


class DatabaseUnavailableError(AppointmentsError):
    """PostgreSQL did not answer in time, or refused; nothing was kept."""


class DatabaseBusyError(DatabaseUnavailableError):
    """PostgreSQL is there, but a lock or a statement took too long: others may have better luck."""


class DatabaseFaultError(DatabaseUnavailableError):
    """PostgreSQL is there, but cannot do what this service asks, whatever it is given: a person has to mend it.

    A table or a privilege is missing, a migration has not run, its files are damaged. Trying again later is right.

    Args:
        sqlstate: PostgreSQL's code for it.
        problem: The code in words, without any value.
    """

    def __init__(self, sqlstate: str, problem: str) -> None:
        if sqlstate in {"42P01", "42703"}:  # a table or a column that is not there
            what = "the schema is missing or old: run `cobalt-appointments db upgrade` first"
        else:
            what = "PostgreSQL is not as it should be"
        super().__init__(f"{what} ({problem})")
        self.sqlstate = sqlstate


class ReadNotRecordedError(DatabaseUnavailableError):
    """A read of unmasked patients' data could not be recorded: then it must not be answered."""


class ScopeMissingError(AppointmentsError):
    """The caller's API key lacks a scope.

    Args:
        scope: Which.
        detail: What needs it, and the way out.
        errors: As for ``InvalidFieldsError``.
    """

    def __init__(self, scope: str, detail: str, errors: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.scope = scope
        self.errors = errors


class NotFoundError(AppointmentsError):
    """There is no such thing under that id."""


class ConflictError(AppointmentsError):
    """The thing is not in a state that allows this."""


class InvalidFieldsError(AppointmentsError):
    """Input that a schema cannot judge alone.

    Args:
        errors: JSON pointer to the offending field -> what is wrong and how to mend it, without the value.
    """

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__("; ".join(f"{pointer}: {detail}" for pointer, detail in errors.items()))
        self.errors = errors


class InvalidCursorError(AppointmentsError):
    """A cursor was altered, cut short or made up, or it belongs to a list with other filters or another order.

    Args:
        parameter: In which it came.
    """

    def __init__(self, parameter: str = "cursor") -> None:
        super().__init__(
            "This cursor is not one of this list's: use `next_cursor` unaltered. It carries the filters and the sort: "
            "leave them out, or repeat them as they were."
        )
        self.errors = {f"/query/{parameter}": "Is not a cursor of this list."}


class BusyError(AppointmentsError):
    """So much is being done already that this has to wait; nothing is wrong."""


class BatchesFullError(AppointmentsError):
    """More waits to be written than may; the sender should come back in a second."""


class TooSlowError(AppointmentsError):
    """What was to be written was not in time; it may still be."""


class CobaltError(AppointmentsError):
    """Cobalt did not answer, or not as documented, a call that is safe to repeat.

    Args:
        http_status: The status of its answer, where it refused.
    """

    def __init__(self, message: str, http_status: int | None = None) -> None:
        super().__init__(message)
        self.http_status = http_status


class SpoolUnavailableError(AppointmentsError):
    """The local disk does not take events: full, read-only or broken."""


class InvalidHeaderError(AppointmentsError):
    """A header cannot be read.

    Args:
        name: Which.
        detail: What is wrong and how to mend it, without the value.
    """

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"{name} {detail}")
        self.name = name


class KeyReusedError(AppointmentsError):
    """An Idempotency-Key came with another request than the first time."""


class KeyInUseError(AppointmentsError):
    """A request with the same Idempotency-Key is under way."""


class ChangesLostError(AppointmentsError):
    """A cursor of changes belongs to a database that this one is not, or is no more."""

    def __init__(self) -> None:
        super().__init__(
            "the database was restored from a copy since this cursor was given: leave `after` out, to begin anew"
        )


class ChangesUnreadyError(DatabaseUnavailableError):
    """The database was restored from a copy, and its changes have not been renumbered yet."""

    def __init__(self) -> None:
        super().__init__(
            "the database was restored from a copy: it takes `db upgrade`, or a worker, before changes can be followed"
        )
