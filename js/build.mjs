// Builds the widget's two static files; with --harness also the page that shows it without Jupyter.
//
//   node js/build.mjs [--watch] [--harness] [--outdir DIR]
import { context, build } from "esbuild";
import { fileURLToPath } from "node:url";
import path from "node:path";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");

/** Options of the product's bundle; the order of inputs and the absence of maps keep it deterministic. */
export function widgetOptions(outdir) {
  return {
    absWorkingDir: root,
    entryPoints: { widget: "js/src/widget.ts" },
    outdir,
    bundle: true,
    minify: true,
    format: "esm",
    target: ["es2022", "chrome111", "firefox113", "safari16.4"],
    charset: "utf8",
    legalComments: "none",
    banner: { js: "// coflect-widget front end; built from js/src, do not edit. Includes uPlot (MIT, Leon Sorokin)." },
    logLevel: "warning",
  };
}

async function main(argv) {
  const at = argv.indexOf("--outdir");
  const outdir = at >= 0 ? path.resolve(argv[at + 1]) : path.join(root, "coflect_widget/static");
  if (argv.includes("--watch")) {
    const watching = await context({ ...widgetOptions(outdir), logLevel: "info" });
    await watching.watch();
    return;
  }
  await build(widgetOptions(outdir));
  if (argv.includes("--harness")) {
    await build({
      ...widgetOptions(path.join(root, "js/harness/dist")),
      entryPoints: { harness: "js/harness/harness.ts" },
      external: [],
      banner: {},
      minify: false,
    });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2));
