// Builds the static files of the dashboard (widget) and of runs compared (records); with --harness also the page that shows it without Jupyter.
//
//   node js/build.mjs [--watch] [--harness] [--outdir DIR]
import { context, build } from "esbuild";
import { fileURLToPath } from "node:url";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { minify } from "terser";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");

const BANNER = "// coflect-widget front end; built from js/src, do not edit.";

/** Options of the product's bundles; the order of inputs and the absence of maps keep it deterministic. */
export function widgetOptions(outdir) {
  return {
    absWorkingDir: root,
    entryPoints: { widget: "js/src/widget.ts", records: "js/src/records.ts" },
    outdir,
    bundle: true,
    minify: true,
    format: "esm",
    target: ["es2022", "chrome111", "firefox113", "safari16.4"],
    charset: "utf8",
    legalComments: "none",
    banner: { js: `${BANNER} Includes uPlot (MIT, Leon Sorokin).` },
    logLevel: "warning",
    plugins: [withoutUnusedCharts],
  };
}

// What uPlot draws beside lines over numbers, and axes of dates: the charts use none of it, and
// the bundle travels in every saved notebook.
const UNUSED = [
  [/^\t\(paths\.(stepped|bars|spline) .*;$/gm, "", 3],
  [/^\tuPlot\.(fmtDate|tzDate) .*;$/gm, "", 2],
  [/= genTimeStuffs\(.*\);$/gm, "= [[], [], () => () => []];", 2],
  [/^\tconst _timeAxisVals .*;$/gm, "\tconst _timeAxisVals = null;", 1],
  [/^\tconst _timeSeriesVal .*;$/gm, "\tconst _timeSeriesVal = null;", 1],
  [/\(opts\.fmtDate \|\| fmtDate\)/g, "null", 1],
  [/isTime \? \(isStr\(sv\).*\) : sv \|\| numSeriesVal/g, "sv || numSeriesVal", 1],
  [/timeAxisVals\(_tzDate, timeAxisStamps\(av, _fmtDate\)\)/g, "null", 1],
  [/timeAxisVal\(_tzDate, av\)/g, "null", 1],
  [/^\tuPlot\.join .*;$/gm, "", 1],
  [/\bshowLegend\b(?! = )/g, "false", 9],
  [/let \[ bandFillDir, bandClipDir \] = bandFillClipDirs\(u, seriesIdx\);/g, "let bandFillDir = 0, bandClipDir = 0;", 3],
  [/flags != 0 && bands\.forEach/g, "false && bands.forEach", 1],
  [/sc\.distr == 4 \? asinhAxisSplits : /g, "", 1],
  [/(sc\.)?distr == 4 +\? .*asinh\([^)]*\) :/g, "", 3],
  [/sc\.distr == 4 \? snapAsinh[XY] : /g, "", 2],
  [/distr == 4 \? sinh\(.*\) :/g, "", 1],
  [/^uPlot\.rangeAsinh = rangeAsinh;$/gm, "", 1],
  [/\[_min, _max\] = rangeAsinh\(.*\);/g, "{}", 1],
  [/^const pointsPath = points\(\) ;$/gm, "const pointsPath = null;", 1],
  [/^\tconst cursorFocus = .*;$/gm, "\tconst cursorFocus = false;", 1],
  [/^\t\t\tsetFocus\(i\);$/gm, ";", 1],
  [/sc\.distr == 3 && sc\.log == 2 \? log2AxisValsFilt : /g, "", 1],
  [/\bmode == 2\b/g, "false", 16],
  [/\bmode == 1\b/g, "true", 16],
  [/\bscaleX\.ori == 0/g, "true", 24],
  [/!series\.spanGaps/g, "true", 3],
  [/^\t*_paths\.gaps = gaps = series\.gaps\(.*\);$/gm, "", 3],
  [/= scaleX\.dir \* \(true \? 1 : -1\);/g, "= 1;", 5],
  [/(?<!\.)\bdir == 1\b/g, "true", 13],
  [/ori == 0 \? rectH : rectV;/g, "rectH;", 1],
  [/\balign [<>]= 0 && /g, "", 2],
  [/series\.fill != null \|\| bandFillDir != 0/g, "false", 3],
  [/idx1 - idx0 >= xDim \* 4/g, "false", 1],
  [/^\tevents\["setSeries"\] = [^}]*};$/gm, "", 1],
  [/^\tself\.(delSeries|setSeries|addBand|setBand|delBand|setLegend|batch|valToIdx|posToIdx) = .*;$/gm, "", 9],
];
const withoutUnusedCharts = {
  name: "without-unused-charts",
  setup(esbuild) {
    esbuild.onLoad({ filter: /uPlot\.esm\.js$/ }, async ({ path: file }) => {
      let contents = await readFile(file, "utf8");
      for (const [what, instead, times] of UNUSED) {
        const found = contents.match(what)?.length ?? 0;
        if (found !== times) throw new Error(`uPlot has changed: ${what} is there ${found} times, not ${times}`);
        contents = contents.replace(what, instead);
      }
      return { contents };
    });
  },
};

/** Build all files into `outdir`; esbuild bundles, terser takes another tenth off. */
export async function buildWidget(outdir) {
  const options = widgetOptions(outdir);
  await build(options);
  for (const name of Object.keys(options.entryPoints)) {
    const preamble = name === "widget" ? options.banner.js : BANNER;
    const file = path.join(outdir, `${name}.js`);
    const { code } = await minify(await readFile(file, "utf8"), {
      module: true, ecma: 2020, compress: { passes: 3, keep_fargs: false, pure_getters: true }, format: { comments: false, preamble },
    });
    await writeFile(file, `${code}\n`);
  }
}

async function main(argv) {
  const at = argv.indexOf("--outdir");
  const outdir = at >= 0 ? path.resolve(argv[at + 1]) : path.join(root, "coflect_widget/static");
  if (argv.includes("--watch")) {
    const watching = await context({ ...widgetOptions(outdir), logLevel: "info" });
    await watching.watch();
    return;
  }
  await buildWidget(outdir);
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
