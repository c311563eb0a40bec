"""Tries of strangers in SQL, above all of passwords, shared by all replicas."""

from datetime import datetime, timedelta

from api.db.database import Statements

PERIOD = timedelta(minutes=1)


async def begin(database: Statements, subject: str, now: datetime, most: int) -> bool:
    """Notes a try before the password is looked at, so that many at once are counted too; False if there were `most`
    within the period, and then it is not noted. What is long over is forgotten on the way."""
    row = await database.row(
        """WITH forgotten AS (
            DELETE FROM login_attempts WHERE subject IN (
                SELECT subject FROM login_attempts WHERE last_at < $3 AND subject <> $1
                LIMIT 100 FOR UPDATE SKIP LOCKED)
        )
        INSERT INTO login_attempts AS l (subject, tried_at, last_at) VALUES ($1, ARRAY[$2::timestamptz], $2)
        ON CONFLICT (subject) DO UPDATE
            SET tried_at = ARRAY(SELECT t FROM unnest(l.tried_at) t WHERE t > $3) || $2::timestamptz, last_at = $2
            WHERE (SELECT count(*) FROM unnest(l.tried_at) t WHERE t > $3) < $4
        RETURNING subject""",
        subject,
        now,
        now - PERIOD,
        most,
    )
    return row is not None


async def take_back(database: Statements, subjects: list[str], at: datetime) -> None:
    """Forgets a try that began at a time, for it was successful."""
    await database.execute(
        "UPDATE login_attempts SET tried_at = array_remove(tried_at, $2::timestamptz) WHERE subject = ANY($1)",
        subjects,
        at,
    )
