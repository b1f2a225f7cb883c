// Fails when the committed bundle is not what the sources build to, byte for byte.
import { build } from "esbuild";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import path from "node:path";
import { widgetOptions } from "./build.mjs";

const LIMIT = 120 * 1024;
const LIMIT_GZIP = 45 * 1024;
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const fresh = await mkdtemp(path.join(tmpdir(), "cw-static-"));
const problems = [];
try {
  await build(widgetOptions(fresh));
  let size = 0;
  let gzip = 0;
  for (const name of ["widget.js", "widget.css"]) {
    const built = await readFile(path.join(fresh, name));
    const committed = await readFile(path.join(root, "coflect_widget/static", name)).catch(() => null);
    size += built.length;
    gzip += gzipSync(built).length;
    if (committed === null) problems.push(`coflect_widget/static/${name} is missing`);
    else if (!built.equals(committed)) problems.push(`coflect_widget/static/${name} is not what js/src builds to`);
  }
  if (size > LIMIT) problems.push(`bundle is ${size} bytes, the limit is ${LIMIT}`);
  if (gzip > LIMIT_GZIP) problems.push(`bundle is ${gzip} bytes gzipped, the limit is ${LIMIT_GZIP}`);
  console.log(`bundle: ${size} bytes, ${gzip} gzipped`);
} finally {
  await rm(fresh, { recursive: true });
}
if (problems.length > 0) {
  console.error(`${problems.join("\n")}\nRun "npm run build" and commit coflect_widget/static.`);
  process.exit(1);
}
console.log("coflect_widget/static is up to date");
