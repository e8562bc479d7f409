"""The documents of an export: what is told of a user, sign-ins, keys, uploads and tasks."""

import uuid
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from avatars.resource import Failure, FileName, MeshMetadata, Status


class ExportedUser(BaseModel):
    user_id: int = Field(description="As given at registration.", examples=[7])
    name: str = Field(description="How the person wants to be called.", examples=["Ada Lovelace"])
    email: str = Field(description="What the person signs in with.", examples=["ada@example.org"])
    created_at: datetime = Field(description="When the person registered.")
    test_mode: bool = Field(description="Whether what is made never reaches an agent.")


class ExportedSignIn(BaseModel):
    created_at: datetime = Field(description="When the person signed in.")
    expires_at: datetime = Field(description="When it ends at the latest.")
    revoked_at: datetime | None = Field(description="When it was signed out or ended otherwise.")


class ExportedKey(BaseModel):
    id: int = Field(description="Names the key.", examples=[3])
    name: str = Field(description="What the person calls it.", examples=["kiosk"])
    prefix: str = Field(description="How the key begins; the rest is not kept.", examples=["avk_live_5f0e6c1e"])
    scopes: list[str] = Field(description="What it may do.", examples=[["tasks:read", "tasks:write"]])
    test_mode: bool = Field(description="Whether what it makes never reaches an agent.")
    created_at: datetime = Field(description="When it was made.")
    expires_at: datetime | None = Field(description="When it ends; null: never.")
    revoked_at: datetime | None = Field(description="When it was revoked.")
    last_used_at: datetime | None = Field(description="To the minute.")


class ExportedUpload(BaseModel):
    upload_id: uuid.UUID = Field(description="Names the upload.")
    content_type: str = Field(description="As announced.", examples=["image/jpeg"])
    size: int = Field(description="In bytes, as announced.", examples=[2_483_112])
    created_at: datetime = Field(description="When it was begun.")
    expires_at: datetime = Field(description="Until when its URL works.")
    used_at: datetime | None = Field(description="When a task was made of it.")


class ExportedFile(BaseModel):
    name: FileName = Field(description="Which file of the task it is.")
    content_type: str = Field(description="Its media type.", examples=["model/gltf-binary"])
    bytes: int = Field(description="Its size.", examples=[482_116])
    sha256: str = Field(
        description="Of the content, in hex.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )
    link: str = Field(
        description="Lasting path on this host; an access token opens it.",
        examples=["/api/v1/3d-model-generation/tasks/0b7f3c0e-6a4f-4a1e-9f59-3f6cf8f2c3a1/files/model.glb"],
    )


class ExportedTask(BaseModel):
    request_uuid: uuid.UUID = Field(description="Names the task.")
    task_id: int = Field(description="As in the generation history.", examples=[12])
    api_key_id: int | None = Field(description="The key it was made with; null: an access token.")
    status: Status = Field(description="As of now.")
    progress: int = Field(description="Per cent.")
    attempt: int = Field(description="How often it was given to agents.")
    test_mode: bool = Field(description="Whether its end is simulated.")
    created_at: datetime = Field(description="When it was made.")
    started_at: datetime | None = Field(description="When an agent was first heard of.")
    finished_at: datetime | None = Field(description="When it ended, in whatever way.")
    failure: Failure | None = Field(description="With INVALID_INPUT and FAILED only.")
    mesh_metadata: MeshMetadata | None = Field(description="After SUCCESS only.")
    options: dict[str, Any] = Field(description="As given when it was made.")
    metadata: dict[str, Any] = Field(description="As given when it was made.")
    retry_of: uuid.UUID | None = Field(description="The task whose photo was taken again.")
    files: list[ExportedFile] = Field(description="The photo as it was kept; after SUCCESS the avatar too.")


class Export(BaseModel):
    """Each list goes on in the next part where it stops in this one."""

    user: ExportedUser
    sign_ins: list[ExportedSignIn] = Field(description="Oldest first, those that ended a day ago left out.")
    api_keys: list[ExportedKey] = Field(description="Oldest first.")
    uploads: list[ExportedUpload] = Field(description="Oldest first; they are kept for about an hour.")
    tasks: list[ExportedTask] = Field(description="Oldest first, those of the API keys too.")
    next: str | None = Field(
        description="Path of the next part; null in the last.",
        examples=["/api/v1/user-info/export?cursor=3.00000000000000000512"],
    )
