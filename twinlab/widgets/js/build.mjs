// Bundles src/ and three.js into ../static/view.js; its first line says from which sources, and a test checks it.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const sources = ["package.json", "build.mjs", ...readdirSync(path("src")).sort().map((name) => `src/${name}`)];
const digest = createHash("sha256");
for (const name of sources) digest.update(readFileSync(path(name)));

await build({
  entryPoints: [path("src/main.js")],
  outfile: path("../static/view.js"),
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "inline",
  loader: { ".css": "text" },
  banner: { js: `// twinlab's view, built by js/build.mjs from sources ${digest.digest("hex").slice(0, 16)}` },
  logLevel: "info",
});
