// Writes schema.d.ts from openapi.json. What is sent as a file is a Blob.
import { readFileSync, writeFileSync } from "node:fs";
import openapiTS, { astToString } from "openapi-typescript";
import ts from "typescript";

const BLOB = ts.factory.createTypeReferenceNode(ts.factory.createIdentifier("Blob"));

const nodes = await openapiTS(readFileSync("openapi.json", "utf8"), {
  defaultNonNullable: false, // what has a default may be left out of a request
  transform: (schema) => (schema.format === "binary" ? BLOB : undefined),
});
writeFileSync("schema.d.ts", astToString(nodes));
