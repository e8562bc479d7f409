// A whole visit: register, sign in, upload a photo, make a task of it, follow it, list all of them.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Task = components["schemas"]["Task"];

export async function visit(baseUrl: string, email: string, password: string, photo: Blob): Promise<Task[]> {
  const api = createClient<paths>({ baseUrl });

  const registered = await api.POST("/users/registration", { body: { name: "Ada Lovelace", email, password } });
  if (registered.error) throw new Error(explained(registered.error));
  const userId: number = registered.data.user_id;

  const signedIn = await api.POST("/users/authorization", { body: { email, password } });
  if (!signedIn.data) throw new Error(`user ${userId} cannot sign in`);
  api.use({
    onRequest({ request }) {
      request.headers.set("access-token", signedIn.data.access_token);
      return request;
    },
  });

  const created = photo.size > 4_000_000 ? await createdByUpload(api, photo) : await createdByForm(api, photo);
  return [await finished(api, created), ...(await all(api))];
}

type Api = ReturnType<typeof createClient<paths>>;

async function createdByUpload(api: Api, photo: Blob): Promise<string> {
  const upload = await api.POST("/uploads", {
    params: { header: { "idempotency-key": crypto.randomUUID() } },
    body: { content_type: "image/jpeg", size: photo.size },
  });
  if (upload.error) throw new Error(`${upload.error.code}: ${upload.error.detail}`);
  const { url, method, headers, upload_id } = upload.data;
  await fetch(url, { method, headers, body: photo });

  const created = await api.POST("/3d-model-generation/tasks", { body: { upload_id, metadata: { order: "A-1042" } } });
  if (created.error) throw new Error(explained(created.error));
  return created.data.request_uuid;
}

async function createdByForm(api: Api, photo: Blob): Promise<string> {
  const created = await api.POST("/3d-model-generation/tasks", {
    body: { task_source_file: photo },
    bodySerializer: (body) => {
      const form = new FormData();
      if ("task_source_file" in body) form.append("task_source_file", body.task_source_file, "me.jpg");
      return form;
    },
  });
  if (created.error) throw new Error(explained(created.error));
  return created.data.request_uuid;
}

async function finished(api: Api, uuid: string): Promise<Task> {
  for (;;) {
    const { data: task, error } = await api.GET("/3d-model-generation/tasks/{uuid}", {
      params: { path: { uuid }, header: { prefer: "wait=20" } },
    });
    if (error) throw new Error(error.code === "TASK_NOT_FOUND" ? `no task ${uuid}` : error.detail);
    switch (task.status) {
      case "SUCCESS":
      case "INVALID_INPUT":
      case "FAILED":
      case "CANCELLED":
        return task;
    }
  }
}

async function all(api: Api): Promise<Task[]> {
  const found: Task[] = [];
  let cursor: string | null = null;
  do {
    const page: components["schemas"]["TaskList"] = await pageAfter(api, cursor);
    found.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== null);
  return found;
}

async function pageAfter(api: Api, cursor: string | null): Promise<components["schemas"]["TaskList"]> {
  const { data, error } = await api.GET("/3d-model-generation/tasks", {
    params: { query: { status: ["SUCCESS", "FAILED"], limit: 50, ...(cursor === null ? {} : { cursor }) } },
  });
  if (error) throw new Error(`${error.code}: ${error.detail}`);
  return data;
}

/** Kept routes fail in the old form unless problem details are asked for. */
function explained(error: components["schemas"]["Problem"] | components["schemas"]["KeptFailure"]): string {
  return typeof error.detail === "string" ? error.detail : error.detail.map((fault) => fault.msg).join("; ");
}
