"""GET /user-info/profile-info: name, e-mail and picture of a user."""

from avatars import profiles, users
from avatars.refusals import UserGone
from facet import auth, db, objects
from facet.function import Function

app = Function("get_profile_info")


@app.endpoint(
    "GET",
    "/user-info/profile-info",
    returns=profiles.Profile,
    caller=auth.USER,
    raises=(UserGone,),
    kept=True,
    tags=("user-info",),
)
def get_profile_info(caller: auth.Caller) -> profiles.Profile:
    """Who is signed in"""
    with db.transaction() as conn:
        row = users.profile(conn, caller)
    return profiles.profile_of(row, objects=objects)
