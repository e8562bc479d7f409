"""DELETE /user-info: erase an account with all that belongs to it."""

from avatars import erasure
from avatars.refusals import UserGone
from facet import auth, db
from facet.function import Function

app = Function("erase_account")


@app.endpoint("DELETE", "/user-info", status=204, caller=auth.USER, raises=(UserGone,), tags=("user-info",))
def erase_account(caller: auth.Caller) -> None:
    """Erase the account

    Deletes the user, all sign-ins, API keys, uploads and tasks, those of the keys too, at once and for ever. Photos
    and avatars cannot be reached through the API any more and are deleted from storage shortly after.
    """
    with db.transaction() as conn:
        erasure.erase(conn, caller)
