"""GET /user-info/profile-info: name, e-mail and picture of a user."""

from pydantic import BaseModel, Field

from avatars import media, users
from avatars.refusals import UserGone
from facet import auth, db, objects
from facet.function import Function

app = Function("get_profile_info")


class Profile(BaseModel):
    image_url: str = Field(description="Presigned URL of the first task's photo, one hour; empty if there is none.")
    name: str = Field(examples=["Ada Lovelace"])
    email: str = Field(examples=["ada@example.org"])


@app.endpoint(
    "GET",
    "/user-info/profile-info",
    returns=Profile,
    caller=auth.USER,
    raises=(UserGone,),
    kept=True,
    tags=("user-info",),
)
def get_profile_info(caller: auth.Caller) -> Profile:
    """Who is signed in"""
    with db.transaction() as conn:
        user = users.profile(conn, caller)
    image_url = ""
    if user["object_key"] is not None:
        image_url = objects.presign_get(user["bucket"], user["object_key"], expires_in=media.CLIENT_URL_SECONDS)
    return Profile(image_url=image_url, name=user["name"], email=user["email"])
