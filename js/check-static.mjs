// Fails when the committed bundle is not what the sources build to, byte for byte.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import path from "node:path";
import { buildWidget } from "./build.mjs";

// Bytes, minified and gzipped: the script travels in every saved notebook, and so does the style.
const LIMITS = {
  "widget.js": [220 * 1024, 80 * 1024], "widget.css": [52 * 1024, 12 * 1024],
  "records.js": [40 * 1024, 16 * 1024], "records.css": [8 * 1024, 3 * 1024],
};
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const fresh = await mkdtemp(path.join(tmpdir(), "cw-static-"));
const problems = [];
try {
  await buildWidget(fresh);
  for (const [name, [limit, limitGzip]] of Object.entries(LIMITS)) {
    const built = await readFile(path.join(fresh, name));
    const committed = await readFile(path.join(root, "coflect_widget/static", name)).catch(() => null);
    const gzip = gzipSync(built).length;
    console.log(`${name}: ${built.length} bytes, ${gzip} gzipped`);
    if (built.length > limit) problems.push(`${name} is ${built.length} bytes, the limit is ${limit}`);
    if (gzip > limitGzip) problems.push(`${name} is ${gzip} bytes gzipped, the limit is ${limitGzip}`);
    if (committed === null) problems.push(`coflect_widget/static/${name} is missing`);
    else if (!built.equals(committed)) problems.push(`coflect_widget/static/${name} is not what js/src builds to`);
  }
} finally {
  await rm(fresh, { recursive: true });
}
if (problems.length > 0) {
  console.error(`${problems.join("\n")}\nRun "npm run build" and commit coflect_widget/static.`);
  process.exit(1);
}
console.log("coflect_widget/static is up to date");
