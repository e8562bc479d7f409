"""GET /user-info/export: all that is kept of a user, to download."""

from pydantic import BaseModel, Field

from avatars import export, resource
from avatars.exported import Export
from avatars.refusals import UserGone
from facet import auth, db
from facet.function import Function
from facet.http import Answer, Request

app = Function("export_data")


class Part(BaseModel):
    cursor: export.Cursor = Field(default=export.BEGINNING, description="From `next`; left out for the first part.")


@app.endpoint(
    "GET",
    export.PATH,
    query=Part,
    returns=Export,
    caller=auth.USER,
    raises=(UserGone,),
    sends=("Content-Disposition",),
    tags=("user-info",),
)
def export_data(caller: auth.Caller, query: Part, request: Request) -> Answer:
    """Export personal data

    All that is kept of the user, as a JSON file; photos and avatars by their links. An export larger than about 5 MB
    (some 5,000 tasks) comes in parts: ask for the path in `next`, also given as `Link`, until it is null.
    """
    base = resource.base_of(request.path, export.PATH)
    with db.transaction() as conn:
        part = export.part(conn, caller, base=base, cursor=query.cursor)
    headers = [("content-disposition", 'attachment; filename="facet-export.json"')]
    if part.next is not None:
        headers.append(("link", f'<{part.next}>; rel="next"'))
    return Answer(part, headers)
